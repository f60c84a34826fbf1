"""A run that is ready for training: its model, its data and everything it is scored with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genbench.contracts import Data, DataAccess, Metric, Model, Sampler
from genbench.engine import planned_epochs
from genbench.evaluation.faults import Owner
from genbench.spec import Part, RunSpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """All parts of a run, built and checked against each other; nothing is stored yet."""

    spec: RunSpec
    device: torch.device
    data: Data
    model: Model
    samplers: Sequence[tuple[Part, Sampler]]
    metrics: Sequence[tuple[Part, Metric]]
    access: DataAccess
    owner: Owner

    @property
    def stages(self) -> tuple[tuple[str, int], ...]:
        """The stages with their numbers of epochs."""
        return planned_epochs(self.model, self.spec)

    @property
    def last_epoch(self) -> int:
        """The number of epochs of all stages."""
        return sum(epochs for _, epochs in self.stages)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters of all networks."""
        return sum(p.numel() for p in self.model.nets.parameters() if p.requires_grad)
