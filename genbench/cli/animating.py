"""``genbench animate``: the samples of a run over its epochs as a GIF or an MP4."""

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
        str | None, typer.Option(help="File to write: .gif, or .mp4, which needs ffmpeg.")
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=50, help="Pictures per second.")] = 4.0,
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Animate the samples of a run over its epochs, from the pictures that it has stored."""
    from genbench.pictures.animation import save_animation

    with open_store(store) as opened:
        run_id = opened.resolve(reference)
        pictures = _pictures(opened, run_id)
        url = SESSION.store_url(store)
        path = file_for(out or f"samples-{run_id}.gif", (".gif", ".mp4"), store=url)
        epochs = list(pictures)
        frames = save_animation(list(pictures.values()), path, fps)
    print_path({"run": run_id, "frames": frames, "epochs": epochs}, path, as_json=as_json)


def _pictures(store: Store, run_id: str) -> dict[int, Path]:
    """The sample grid of each epoch in order. Raises UsageError if there are fewer than two."""
    from genbench.errors import UsageError

    found = {
        artifact.epoch: store.folder(run_id) / artifact.path
        for artifact in store.artifacts(run_id)
        if artifact.kind == "samples" and artifact.epoch is not None
    }
    if len(found) < 2:
        raise UsageError(
            f"run {run_id} has the samples of {len(found)} epochs, and an animation needs two",
            hint=f"To train it with more pictures: genbench rerun {run_id} --set sample_every=1",
        )
    return dict(sorted(found.items()))
