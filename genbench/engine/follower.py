"""A process other than the first one of a run on several devices: it trains, and does nothing else.

It takes every step that the first process takes, on its own part of each batch. It emits no events
and writes no files, since the first process records, validates, draws and writes checkpoints; it
only waits for it in the next step meanwhile, and ends with it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from genbench.contracts import Data, Model
from genbench.engine.checkpoint import RunIdentity
from genbench.engine.loop import Trainer
from genbench.engine.shards import Shards
from genbench.engine.stage import StageRun
from genbench.events import EpochDone, Event, never
from genbench.spec import RunSpec


def follow(
    model: Model,
    data: Data,
    spec: RunSpec,
    *,
    device: torch.device,
    folder: Path,
    shards: Shards,
    resume: bool,
    identity: RunIdentity,
) -> None:
    """Train a newly built model as `genbench.engine.train` does in the first process.

    A resumed run is read from its ``folder``. Raises what a step raises.
    """
    follower = Follower(
        model, data, spec, device, folder, _ignore, float("inf"), identity, None, shards
    )
    follower.train(None, never, resume)


class Follower(Trainer):
    """The training without anything that only one process has to do."""

    def _read(self, run: StageRun, *, epoch_ends: bool = False) -> None:
        """Make room for more losses; the first process stops the run if one is not finite."""
        run.losses.read(self.position.step, epoch_ends=epoch_ends)

    def _report(self, run: StageRun) -> EpochDone:
        """Move on to the next epoch."""
        at = self.position
        at.epoch += 1
        at.stage_epoch += 1
        at.iteration = 0
        run.losses.end_epoch()
        return EpochDone(
            stage=run.stage.name,
            stage_epoch=at.stage_epoch,
            epoch=at.epoch,
            step=at.step,
            images=run.feed.images,
            train_s=0.0,
            eval_s=0.0,
            wall_s=0.0,
            peak_mem=0,
            losses={},
        )

    def _save(self, run: StageRun) -> None:
        """Leave the checkpoints to the first process."""


def _ignore(event: Event) -> None:
    """Nobody listens to this process."""
