"""TensorBoard: a folder of event files for each run, which ``tensorboard --logdir`` shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench import ArtifactMade, Evaluated, Event, Resumed, StartedRun, Warned
from genbench_listeners.settings import TensorBoardSettings
from genbench_listeners.values import Values, needs, score_name

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_S = 10
"""Seconds until a new value can be seen."""


class TensorBoard:
    """Losses, seconds and scores as scalars, pictures as images, settings as hyperparameters."""

    def __init__(self, settings: TensorBoardSettings) -> None:
        needs("tensorboard", "tensorboard")
        self.settings, self.values = settings, Values()
        self.scores: dict[str, float] = {}

    def begin(self, run: StartedRun) -> None:
        """Open the event file of the run; a resumed one drops what lies after its checkpoint."""
        self.run, self.folder = run, Path(self.settings.folder) / run.id
        if not run.resumed:
            self.writer = self._open()
            self.writer.add_text("settings", _table(run.params), 0)

    def hear(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, Resumed):
            self.writer = self._open(purge_step=event.step + 1)
        for series, step, value in self.values.of(event):
            self.writer.add_scalar(series, value, step)
        if isinstance(event, Evaluated):
            self.scores |= {score_name(event, score): score.value for score in event.scores}
        elif isinstance(event, ArtifactMade) and event.path.suffix == ".png":
            self.writer.add_image(
                event.kind, _pixels(event.path), self.values.step, dataformats="HWC"
            )
        elif isinstance(event, Warned):
            self.writer.add_text("warnings", event.message, self.values.step)

    def end(self, status: str) -> None:
        """Write the hyperparameters with the last scores, and close the file."""
        plain = {
            k: v for k, v in self.run.params.items() if isinstance(v, str | bool | int | float)
        }
        if self.scores:
            last = {f"final/{name}": value for name, value in self.scores.items()}
            self.writer.add_hparams(plain, last, run_name=".", global_step=self.values.step)
        self.writer.add_text("status", status, self.values.step)
        self.writer.close()

    def _open(self, **options: Any) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), flush_secs=FLUSH_S, **options)


def _pixels(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _table(params: Any) -> str:
    """The settings in Markdown, which TensorBoard renders."""
    rows = [f"| {name} | {str(value).replace('|', '/')} |" for name, value in params.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])
