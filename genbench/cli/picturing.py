"""Pictures of stored runs: ``interpolate``, ``traverse``, ``latents``, ``reconstruct``,
``translate``, ``curves``.

They write a file where they are called and add nothing to the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.destination import file_for
from genbench.cli.opening import ModelOptions, open_store, resolved
from genbench.cli.options import options_of, whole_numbers
from genbench.cli.output import print_path
from genbench.cli.session import SESSION
from genbench.spec import MOST, MOST_SEED

if TYPE_CHECKING:
    from genbench.evaluation.loaded_run import LoadedRun

Label = Annotated[
    str | None, typer.Option(help="A class of a conditional model, by number or name.")
]


class Between(StrEnum):
    """What an interpolation is between."""

    SAMPLES = "samples"
    IMAGES = "images"
    CLASSES = "classes"


class PathKind(StrEnum):
    """The path from one latent to another."""

    SPHERICAL = "spherical"
    LINEAR = "linear"


class TraversalValues(StrEnum):
    """How the values of a traversal are chosen."""

    LINEAR = "linear"
    QUANTILES = "quantiles"
    CODES = "codes"


class Start(StrEnum):
    """What the dimensions are that a traversal doesn't change."""

    ZERO = "zero"
    IMAGE = "image"


@dataclass(frozen=True, kw_only=True)
class PictureOptions(ModelOptions):
    """The options that all pictures of one run have."""

    reference: options.RunArgument
    out: Annotated[str | None, typer.Option(help="File to write the picture to (.png).")] = None
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_SEED, help="Random seed of the noise and the choice of images."
        ),
    ] = 0

    def draw(
        self, draw: Callable[..., None], name: str, suffixes: tuple[str, ...] = (".png",)
    ) -> None:
        """Draw a stored run with ``draw(loaded, path, seed)``, and say where the picture is."""
        with open_store(self.store) as stored:
            run_id = stored.resolve(self.reference)
            place = self.out or f"{name}-{run_id}.png"
            path = file_for(place, suffixes, store=SESSION.store_url(self.store))

            def work(**hooks: Any) -> None:
                from genbench.runner.opened import Opened, at_work

                opened = Opened(registry=SESSION.registry, store=stored, **hooks)
                with at_work(run_id, opened, self.seed) as loaded:
                    draw(loaded, path, self.seed)

            self.watched(work)
        print_path({"run": run_id}, path, as_json=self.as_json)


@options_of(PictureOptions)
def interpolate(
    between: Annotated[Between, typer.Option(help="What to interpolate between.")] = (
        Between.SAMPLES
    ),
    path: Annotated[
        PathKind | None,
        typer.Option(
            help="Shape of the path (default: spherical for a normal prior, else linear)."
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=1_000, help="Number of rows.")] = None,
    steps: Annotated[int, typer.Option(min=2, max=1_000, help="Images in each row.")] = 10,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Two classes (default: each class and the next one)."),
    ] = None,
    label: Label = None,
    **common: Any,
) -> None:
    """Draw interpolations between samples, test images or classes of a stored run."""
    given: dict[str, Any] = {"between": between, "path": path, "rows": rows, "steps": steps}

    def draw(loaded: LoadedRun, target: Path, seed: int) -> None:
        from genbench.latent.interpolate import Interpolation, interpolate

        chosen = Interpolation(label=label, classes=classes, seed=seed, **given)
        interpolate(loaded, chosen, target)

    PictureOptions(**common).draw(draw, "interpolation")


@options_of(PictureOptions)
def traverse(
    scale: Annotated[
        TraversalValues | None,
        typer.Option(
            help="Even steps, quantiles of the prior, or standard deviations of the codes."
        ),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(
            "--range", min=1e-6, max=1e6, help="Traverse from -RANGE to RANGE (default: 5 or 3)."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=2, max=1_000, help="Images along a dimension (default: 21 or 11)."),
    ] = None,
    dims: Annotated[
        str | None, typer.Option(metavar="I,J,..", help="Dimensions (default: the most active).")
    ] = None,
    start: Annotated[
        Start,
        typer.Option("--from", help="Values of the other dimensions: 0 or a test image's code."),
    ] = Start.ZERO,
    label: Label = None,
    **common: Any,
) -> None:
    """Draw a stored run's latent space: along its dimensions, or as a grid over two."""
    given: dict[str, Any] = {"scale": scale, "reach": reach, "steps": steps, "start": start}
    numbers = whole_numbers(dims, "--dims")

    def draw(loaded: LoadedRun, target: Path, seed: int) -> None:
        from genbench.latent.traverse import Traversal, traverse

        traverse(loaded, Traversal(dims=numbers, label=label, seed=seed, **given), target)

    PictureOptions(**common).draw(draw, "traversal")


@options_of(PictureOptions)
def latents(
    count: Annotated[
        int | None,
        typer.Option(
            "-n", "--samples", min=2, max=MOST, help="Number of test samples (default: all)."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="File to write: picture.png, or codes.npz with the codes as arrays."),
    ] = None,
    **common: Any,
) -> None:
    """Draw the codes of the test samples in a stored run's latent space, by class."""

    def draw(loaded: LoadedRun, target: Path, seed: int) -> None:
        from genbench.latent.encode import encode

        encode(loaded, target, n=count, seed=seed)

    PictureOptions(out=out, **common).draw(draw, "latents", (".png", ".npz"))


@options_of(PictureOptions)
def reconstruct(
    count: Annotated[
        int, typer.Option("-n", "--samples", min=1, max=10_000, help="Number of test images.")
    ] = 32,
    **common: Any,
) -> None:
    """Draw test images and a stored run's reconstructions of them."""

    def draw(loaded: LoadedRun, target: Path, seed: int) -> None:
        from genbench.latent.encode import reconstruct

        reconstruct(loaded, target, n=count, seed=seed)

    PictureOptions(**common).draw(draw, "reconstructions")


@options_of(PictureOptions)
def translate(
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="Class by number or name, or attributes such as Blond_Hair or 'Male,not Young'; "
            "repeatable (default: all classes).",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder with pictures to translate (default: test images)."),
    ] = None,
    own: Annotated[
        str | None,
        typer.Option("--from", help="Class of the pictures in the folder, by number or name."),
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--samples", min=1, max=1_000, help="Number of images.")
    ] = 8,
    **common: Any,
) -> None:
    """Draw images and a stored run's translations of them into other classes."""
    access = {"data_dir": common["data_dir"], "offline": common["offline"]}

    def draw(loaded: LoadedRun, target: Path, seed: int) -> None:
        from genbench.latent.translate import Translation, translate

        given = {} if images is None else _given(loaded, images, **access)
        chosen = Translation(to=to or (), count=count, seed=seed, own=own, **given)
        translate(loaded, chosen, target)

    PictureOptions(**common).draw(draw, "translations")


def _given(
    loaded: LoadedRun, folder: Path, *, data_dir: Path | None, offline: bool
) -> dict[str, Any]:
    """The pictures of a folder as `genbench.latent.translate.Translation` has them."""
    import os

    from genbench.runner import data_access
    from genbench.runner.folder_images import images_in

    access = data_access(data_dir, os.environ, offline=offline)
    found, labels = images_in(folder, loaded.data.spec, SESSION.registry, access)
    return {"images": found, "labels": labels}


def curves(
    references: options.RunsArgument,
    term: Annotated[
        list[str] | None,
        typer.Option(help="Draw only this term of the loss, or seconds of training (repeatable)."),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Draw all runs in one panel for each term.")
    ] = False,
    out: Annotated[str | None, typer.Option(help="File to write the figure to (.svg).")] = None,
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Draw the training and validation losses of stored runs over their epochs, as SVG."""
    from genbench.report.loss_curves import save_curves_together, save_loss_curves

    with open_store(store) as opened:
        ids = resolved(opened, references)
        path = file_for(out or f"curves-{ids[0]}.svg", (".svg",), store=SESSION.store_url(store))
        save = save_curves_together if together else save_loss_curves
        save(opened, ids, path, tuple(term or ()))
    print_path({"runs": ids}, path, as_json=as_json)
