"""``genbench animate``: the samples of a run over its epochs as a GIF, an MP4, or one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli import options
from genbench.cli.destination import file_for
from genbench.cli.opening import open_store
from genbench.cli.output import print_path
from genbench.cli.session import SESSION

if TYPE_CHECKING:
    from genbench.store import Store


def animate(
    reference: options.RunArgument,
    out: Annotated[
        str | None,
        typer.Option(help="File to write: .gif, .mp4 (needs ffmpeg), or .png, side by side."),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=50, help="Pictures per second.")] = 4.0,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE,..",
            help="Shares of the last stage at which pictures are shown, such as 0,0.2,0.6,1.",
        ),
    ] = None,
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Animate the samples of a run over its epochs, from the pictures that it has stored."""
    from genbench.pictures.animation import save_animation, save_side_by_side

    with open_store(store) as opened:
        run_id = opened.resolve(reference)
        pictures = _pictures(opened, run_id)
        if at is not None:
            pictures = _nearest(pictures, opened, run_id, _shares(at))
        url = SESSION.store_url(store)
        path = file_for(out or f"samples-{run_id}.gif", (".gif", ".mp4", ".png"), store=url)
        epochs, files = list(pictures), list(pictures.values())
        if path.suffix == ".png":
            frames = save_side_by_side(files, path)
        else:
            frames = save_animation(files, path, fps)
    print_path({"run": run_id, "frames": frames, "epochs": epochs}, path, as_json=as_json)


def _shares(text: str) -> list[float]:
    from genbench.errors import UsageError

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [-1.0]
    if not all(0 <= share <= 1 for share in found):
        raise UsageError(f"--at {text}: expected shares of the training, such as 0,0.2,0.6,1")
    return found


def _nearest(
    pictures: dict[int, Path], store: Store, run_id: str, shares: list[float]
) -> dict[int, Path]:
    """The pictures of the last stage with steps that are nearest to these shares of it."""
    epochs = store.epochs(run_id)
    stage = next((e.stage for e in reversed(epochs) if e.images), epochs[-1].stage)
    own = [epoch.epoch for epoch in epochs if epoch.stage == stage]
    within = [epoch for epoch in pictures if own[0] <= epoch <= own[-1]] or list(pictures)
    wanted = [own[0] + share * (own[-1] - own[0]) for share in shares]
    found = [min(within, key=lambda epoch: abs(epoch - one)) for one in wanted]
    return {epoch: pictures[epoch] for epoch in found}


def _pictures(store: Store, run_id: str) -> dict[int, Path]:
    """The sample grid of each epoch in order. Raises UsageError if there are fewer than two."""
    from genbench.errors import UsageError

    found = {
        artifact.epoch: store.file(run_id, artifact.path)
        for artifact in store.artifacts(run_id)
        if artifact.kind == "samples" and artifact.epoch is not None
    }
    if len(found) < 2:
        raise UsageError(
            f"run {run_id} has the samples of {len(found)} epochs, and an animation needs two",
            hint=f"To train it with more pictures: genbench rerun {run_id} --set sample_every=1",
        )
    return dict(sorted(found.items()))
