"""Pictures of stored runs: ``interpolate``, ``traverse``, ``latents``, ``reconstruct``, ``curves``.

They write a file where they are called and add nothing to the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.running import DataDir, Device, Json, Offline, Reference, StoreOption
from genbench.cli.session import SESSION
from genbench.wording import plain

if TYPE_CHECKING:
    from genbench.runner.picturing import Opened

Seed = Annotated[int, typer.Option(min=0, help="Of the noise and the choice of images.")]
Out = Annotated[str | None, typer.Option(help="Where to write the picture (a name in .png).")]
Label = Annotated[
    str | None, typer.Option(help="A class of a conditional model, by number or name.")
]
Rows = Annotated[int | None, typer.Option(min=1, max=1_000, help="How many rows.")]


class Between(StrEnum):
    """What an interpolation leads from and to."""

    SAMPLES = "samples"
    IMAGES = "images"
    CLASSES = "classes"


class PathKind(StrEnum):
    """The way from one latent to another."""

    SPHERICAL = "spherical"
    LINEAR = "linear"


class Scale(StrEnum):
    """What the stops of a traversal are."""

    LINEAR = "linear"
    QUANTILES = "quantiles"
    CODES = "codes"


class Start(StrEnum):
    """Where a traversal leaves the dimensions that it doesn't walk along."""

    ZERO = "zero"
    IMAGE = "image"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("interpolate")(interpolate)
    app.command("traverse")(traverse)
    app.command("latents")(latents)
    app.command("reconstruct")(reconstruct)
    app.command("curves")(curves)


def interpolate(
    reference: Reference,
    between: Annotated[
        Between, typer.Option(help="Draws of the prior, test images or classes.")
    ] = (Between.SAMPLES),
    path: Annotated[
        PathKind | None,
        typer.Option(help="Spherical between draws of a normal prior, else linear."),
    ] = None,
    rows: Rows = None,
    steps: Annotated[int, typer.Option(min=2, max=1_000, help="Images of a row.")] = 10,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Two classes (default: each and its next).")
    ] = None,
    label: Label = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Draw what lies between samples, real images or classes of a stored run."""

    def work(run_id: str, target: Path, opened: Opened) -> Path:
        from genbench.runner.interpolating import Interpolation, interpolate_run

        wish = Interpolation(
            between=between.value,
            path=path.value if path else None,
            rows=rows,
            steps=steps,
            label=label,
            classes=classes,
            seed=seed,
        )
        return interpolate_run(run_id, wish, target, opened)

    _picture(work, "interpolation", reference, out, device, store, data_dir, offline, as_json)


def traverse(
    reference: Reference,
    scale: Annotated[
        Scale | None,
        typer.Option(help="Even steps, quantiles of the prior, or the codes' own spread."),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option("--range", min=1e-6, max=1e6, help="From -RANGE to RANGE (5, or 3)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=2, max=1_000, help="Stops along a dimension (21, or 11).")
    ] = None,
    dims: Annotated[
        str | None, typer.Option(metavar="I,J,..", help="Dimensions (default: the most active).")
    ] = None,
    start: Annotated[
        Start, typer.Option("--from", help="What the other dimensions are: 0, or a test image's.")
    ] = Start.ZERO,
    label: Label = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Draw a stored run's latent space: along its dimensions, or as a grid over two."""
    numbers = _numbers(dims)

    def work(run_id: str, target: Path, opened: Opened) -> Path:
        from genbench.runner.traversing import Traversal, traverse_run

        wish = Traversal(
            scale=scale.value if scale else None,
            reach=reach,
            steps=steps,
            dims=numbers,
            start=start.value,
            label=label,
            seed=seed,
        )
        return traverse_run(run_id, wish, target, opened)

    _picture(work, "traversal", reference, out, device, store, data_dir, offline, as_json)


def latents(
    reference: Reference,
    count: Annotated[
        int | None, typer.Option("-n", "--samples", min=2, help="Test samples (all).")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="picture.png, or codes.npz for the codes themselves.")
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Draw where a stored run's encoder puts the test samples, by class."""

    def work(run_id: str, target: Path, opened: Opened) -> Path:
        from genbench.runner.encoding import latents_run

        return latents_run(run_id, target, opened, n=count, seed=seed)

    _picture(
        work, "latents", reference, out, device, store, data_dir, offline, as_json, also=(".npz",)
    )


def reconstruct(
    reference: Reference,
    count: Annotated[int, typer.Option("-n", "--samples", min=1, help="Test images.")] = 32,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    store: StoreOption = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Draw test images with a stored run's reconstructions beside them."""

    def work(run_id: str, target: Path, opened: Opened) -> Path:
        from genbench.runner.encoding import reconstruct_run

        return reconstruct_run(run_id, target, opened, n=count, seed=seed)

    _picture(work, "reconstructions", reference, out, device, store, data_dir, offline, as_json)


def curves(
    references: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Id, prefix, name, @1 (newest).")
    ],
    term: Annotated[
        list[str] | None, typer.Option(help="Only this term of the loss (repeatable).")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="All runs in one panel for each term.")
    ] = False,
    out: Annotated[str | None, typer.Option(help="Where to write it (a name in .svg).")] = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Draw the training and validation losses of stored runs over their epochs, as SVG."""
    from genbench.cli.output import print_json
    from genbench.cli.stored import open_store
    from genbench.report.loss_curves import curves_together, loss_curves

    with open_store(store) as opened:
        ids = list(dict.fromkeys(opened.resolve(reference) for reference in references))
        path = _target(out, "curves", ids[0], (".svg",))
        draw = curves_together if together else loss_curves
        svg = draw(opened, ids, tuple(term or ()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg, encoding="utf-8")
    if as_json:
        print_json({"runs": ids, "path": str(path)})
    else:
        print(plain(str(path)))


def _picture(
    work: Callable[[str, Path, Opened], Path],
    name: str,
    reference: str,
    out: str | None,
    device: str | None,
    store: str | None,
    data_dir: Path | None,
    offline: bool,
    as_json: bool,
    *,
    also: tuple[str, ...] = (),
) -> None:
    """Find the run, do the work with progress shown, and say where the picture is."""
    from genbench.cli.output import print_json
    from genbench.cli.sampling import watched
    from genbench.store import Store

    with Store.open(SESSION.store_url(store), mode="read") as opened:
        run_id = opened.resolve(reference)
        path = _target(out, name, run_id, (".png", *also))

        def worked(**hooks: Any) -> Path:
            from genbench.runner.picturing import Opened

            return work(run_id, path, Opened(registry=SESSION.registry, store=opened, **hooks))

        written = watched(worked, device, data_dir, offline)
    if as_json:
        print_json({"run": run_id, "path": str(written)})
    else:
        print(plain(str(written)))


def _target(out: str | None, name: str, run_id: str, endings: tuple[str, ...]) -> Path:
    """Where to write: ``out``, or ``name-RUN`` with the first ending in this folder."""
    from genbench.errors import UsageError

    path = Path(out or f"{name}-{run_id}{endings[0]}").expanduser()
    if path.suffix not in endings or (out and out.endswith(("/", os.sep))) or path.is_dir():
        raise UsageError(f"--out {out}: expected the name of a file in {' or '.join(endings)}")
    return path


def _numbers(dims: str | None) -> tuple[int, ...]:
    from genbench.errors import UsageError

    try:
        return tuple(int(part) for part in dims.split(",")) if dims else ()
    except ValueError:
        raise UsageError(f"--dims {dims}: expected numbers with commas, such as 0,1,2") from None
