"""The model of a stored run with its weights, and the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genbench.contracts import Data, Model
from genbench.pictures.samples import described
from genbench.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A stored run that is ready for sampling: its model in eval mode on ``device``, and its data.

    ``epoch``, ``stage`` and ``step`` are those of the checkpoint with the weights; while a run
    trains, and after it was killed, they may be before its last stored epoch. ``step`` is None at
    the end of an epoch, else the step of weights within the epoch after ``epoch``. ``differing``
    lists the versions of the model and the data set that have changed since the run.
    """

    id: str
    spec: RunSpec
    model: Model
    data: Data
    device: torch.device
    epoch: int = 0
    stage: str = ""
    step: int | None = None
    differing: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """The description of the run for captions."""
        return described(self.spec, self.id, self.epoch, self.step)
