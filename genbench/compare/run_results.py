"""What `compare` works on: finished runs with their costs and scores, as frozen records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from genbench.store.records import RunHead

Variant = tuple[str, tuple[tuple[str, str], ...]]
"""The hash of an experiment, and the versions of the plugins that its numbers depend on."""


class Place(NamedTuple):
    """Where a run trained: the kind of device, and the hardware with its number of threads.

    The ``machine`` also says with how many other seeds it was trained, since seconds of a run alone
    and its share in those of several are as different as those of two machines.
    """

    device: str
    machine: str

    def __str__(self) -> str:
        return f"{self.device} ({self.machine})" if self.machine else self.device


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A stored score, from the last epoch at which the run was scored in this way."""

    metric: str
    sampler: str
    value: float | None
    floor: float | None
    direction: str
    unit: str
    protocol_hash: str
    protocol: Mapping[str, Any]
    epoch: int
    n: int


@dataclass(frozen=True, kw_only=True)
class DrawCost:
    """The cost of a sample in the draw that was scored; None if it isn't known.

    ``nfe`` counts function evaluations: passes through the network, one after the other.
    """

    nfe: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """The cost of one stage: ``epoch_s`` is the median over its epochs without the first one.

    The first epoch of a stage includes the warm-up (kernels, caches, compiling) and is left out
    if there are others. ``images`` is the number of images in an epoch.
    """

    name: str
    epochs: int
    prepare_s: float
    train_s: float
    epoch_s: float
    images: int

    @property
    def total_s(self) -> float:
        """Seconds of preparing the data and of training, without evaluation and pictures."""
        return self.prepare_s + self.train_s


@dataclass(frozen=True, kw_only=True)
class MachineUse:
    """How much of its machine a run could use while it trained; None if it isn't known.

    ``cpu_share`` is the CPU time of the process over the training time; ``load`` is the mean of the
    load averages of a machine with ``cpus`` cores.
    """

    cpu_share: float | None = None
    load: float | None = None
    cpus: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A run that another one builds upon, directly or indirectly, with its training seconds."""

    model: str
    place: Place
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunResult(RunHead):
    """One finished run: where it trained, the cost of its stages, and its scores.

    ``dataset`` and ``data_settings`` describe the data that its samples are compared with. For a
    run that was trained on the latents of other runs, that is the data which those runs encoded;
    ``sources`` are then the specs of those runs, the nearest first. ``parents`` are all the runs
    that it builds upon, each once.

    ``versions`` maps the distributions of plugins to the versions that its numbers depend on.
    ``together`` are the seeds that it was trained together with, and its own, if there are any.
    ``draws`` has the cost of a sample for each sampler.
    ``lineage`` names the seeds of the runs that made its data: runs with equal ``seed`` and
    ``lineage`` are repeats of one observation (as by ``rerun``), not two seeds.
    """

    data_settings: Mapping[str, Any]
    spec: Mapping[str, Any]
    place: Place
    stages: tuple[StageCost, ...]
    scores: tuple[Scored, ...]
    sources: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[Parent, ...] = ()
    lineage: tuple[Any, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[str, DrawCost] = field(default_factory=dict)
    effort: MachineUse = field(default_factory=MachineUse)
    together: tuple[int, ...] = ()

    @cached_property
    def variant(self) -> Variant:
        """What the seeds of one experiment have in common."""
        return self.experiment, tuple(sorted(self.versions.items()))

    @property
    def kind(self) -> str:
        """'gan', or 'gan on latents of vae'."""
        return " on latents of ".join((self.model, *(str(s["model"]) for s in self.sources)))

    @property
    def parents_s(self) -> float:
        """Training seconds of the runs it builds upon."""
        return math.fsum(parent.seconds for parent in self.parents)

    @property
    def own_s(self) -> float:
        """Training seconds of its own stages."""
        return sum(stage.total_s for stage in self.stages)

    @property
    def parents_elsewhere(self) -> bool:
        """Whether a run that it builds upon was trained on another machine or device."""
        return any(parent.place != self.place for parent in self.parents)

    @property
    def total_s(self) -> float:
        """Seconds of all stages, and of the runs it builds upon if they ran on this machine."""
        return self.own_s + (0.0 if self.parents_elsewhere else self.parents_s)

    @property
    def main_stage(self) -> int:
        """The index of the last stage with optimizer steps; a fitting stage may come after it."""
        trained = [i for i, stage in enumerate(self.stages) if stage.images]
        return trained[-1] if trained else len(self.stages) - 1


def samplers_of(run: RunResult) -> list[str]:
    """The samplers that a run was scored with; [""] if it has no scores of samples.

    A score of the model itself (no samples drawn) has no sampler and belongs to every row.
    """
    found = list(dict.fromkeys(score.sampler for score in run.scores if score.sampler))
    return found or [""]


def scores_of(run: RunResult, sampler: str) -> list[Scored]:
    """The scores of a run with one sampler, and those of the model itself."""
    return [score for score in run.scores if score.sampler in ("", sampler)]
