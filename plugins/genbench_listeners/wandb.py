"""Weights & Biases: each run is a W&B run with the same id, written offline by default."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from genbench import ArtifactMade, Event, StartedRun, Warned
from genbench_listeners.settings import WandbSettings
from genbench_listeners.values import Values, needs, title

STEP = "step"
"""The axis of all charts: training steps, which are told in no certain order."""


class WeightsAndBiases:
    """Settings as the configuration, losses and scores as history, pictures as media."""

    def __init__(self, settings: WandbSettings) -> None:
        needs("wandb", "wandb")
        self.settings, self.values = settings, Values()

    def begin(self, run: StartedRun) -> None:
        """Start the W&B run; nothing is sent unless the mode is online."""
        import wandb

        folder = Path(self.settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
        )
        self.run = wandb.init(
            project=self.settings.project,
            mode=self.settings.mode,
            dir=str(folder),
            id=run.id,
            name=title(run),
            tags=[tag[:64] for tag in run.tags],
            config=dict(run.params),
            resume="allow" if self.settings.mode == "online" else None,
            reinit="create_new",
            settings=quiet,
        )
        self.run.define_metric("*", step_metric=STEP)

    def hear(self, event: Event) -> None:
        """Log one event."""
        import wandb

        rows: defaultdict[int, dict[str, float]] = defaultdict(dict)
        for series, step, value in self.values.of(event):
            rows[step][series] = value
        for step in sorted(rows):
            self.run.log({STEP: step, **rows[step]})
        if isinstance(event, ArtifactMade) and event.path.suffix == ".png":
            picture = wandb.Image(str(event.path))
            self.run.log({STEP: self.values.step, f"pictures/{event.kind}": picture})
        elif isinstance(event, Warned):
            self.run.alert(title=event.kind, text=event.message)

    def end(self, status: str) -> None:
        """Finish the W&B run."""
        self.run.finish(exit_code=0 if status == "finished" else 1)
