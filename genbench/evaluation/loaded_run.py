"""A stored run's model with some of its weights, and the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genbench.contracts import Data, Model
from genbench.pictures.samples import described
from genbench.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A stored run, ready to sample: its model in eval mode on ``device``, and its data.

    ``epoch``, ``stage`` and ``step`` say which weights these are, by their checkpoint: while a run
    trains, and after it was killed, they are not those of its last stored epoch. ``step`` is None
    at the end of an epoch, else that of weights within the epoch after ``epoch``. ``differing``
    are the versions of the model and the data set that are not those which made the run.
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
        """What captions say of it."""
        return described(self.spec, self.id, self.epoch, self.step)
