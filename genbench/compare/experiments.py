"""What `compare` works on: finished runs grouped by experiment, with their costs and scores.

A *trial* is one run; a *contender* is one experiment as one sampler shows it: all seeds together.
Everything here is arithmetic on records; nothing is read from a store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from genbench.compare.measure import Measure

Variant = tuple[str, tuple[tuple[str, str], ...]]
"""An experiment's hash, and the versions of the plugins that decide its numbers."""


class Place(NamedTuple):
    """Where seconds were spent: the kind of device, and the hardware with its threads."""

    device: str
    machine: str

    def __str__(self) -> str:
        return f"{self.device} ({self.machine})" if self.machine else self.device


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A score as it was stored, at the last epoch at which a run was scored that way."""

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
class StageCost:
    """What one stage cost: ``epoch_s`` is the median over its epochs without the first one.

    The first epoch of a stage pays for warming up (kernels, caches, compiling) and is left out
    where there are others. ``images`` are those that an epoch sees.
    """

    name: str
    epochs: int
    prepare_s: float
    train_s: float
    epoch_s: float
    images: int

    @property
    def total_s(self) -> float:
        """Preparing its data and training; not evaluating, not drawing pictures."""
        return self.prepare_s + self.train_s


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a run had of its machine while it trained.

    ``cpu_share``: CPU seconds of the process over the seconds of training. ``load``: the mean of
    the machine's load averages, over ``cpus`` cores. None where it isn't known.
    """

    cpu_share: float | None = None
    load: float | None = None
    cpus: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A run that another one builds upon, directly or not, with the seconds that it cost."""

    model: str
    place: Place
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One finished run: where it ran, what its stages cost, how it was scored.

    ``dataset`` and ``data_settings`` are of the data that its samples are compared with: where it
    was trained on the latents of other runs, those of what these encoded; ``source runs`` are then
    their specs, the nearest first. ``parents`` are all the runs that it builds upon, each once.

    ``versions``: distributions of plugins -> the versions that decided its numbers.
    ``lineage`` names the seeds of the runs that its data are made of: runs with equal ``seed`` and
    ``lineage`` are repeats of one observation (a bare ``rerun``), not two seeds.
    """

    run: str
    name: str | None
    seed: int
    created_at: str
    experiment: str
    model: str
    dataset: str
    data_settings: Mapping[str, Any]
    preset: str | None
    spec: Mapping[str, Any]
    place: Place
    stages: tuple[StageCost, ...]
    scores: tuple[Scored, ...]
    sources: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[Parent, ...] = ()
    lineage: tuple[Any, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    effort: Effort = field(default_factory=Effort)

    @property
    def variant(self) -> Variant:
        """What runs have in common that are seeds of one another."""
        return self.experiment, tuple(sorted(self.versions.items()))

    @property
    def kind(self) -> str:
        """'gan', or 'gan on latents of vae'."""
        return " on latents of ".join((self.model, *(str(s["model"]) for s in self.sources)))

    @property
    def parents_s(self) -> float:
        """Seconds that went into the runs it builds upon."""
        return math.fsum(parent.seconds for parent in self.parents)

    @property
    def own_s(self) -> float:
        """Seconds of its own stages."""
        return sum(stage.total_s for stage in self.stages)

    @property
    def parents_elsewhere(self) -> bool:
        """Whether a run that it builds upon ran on another machine or device."""
        return any(parent.place != self.place for parent in self.parents)

    @property
    def total_s(self) -> float:
        """All stages and the runs it builds upon; without these where they ran elsewhere."""
        return self.own_s + (0.0 if self.parents_elsewhere else self.parents_s)

    @property
    def main_stage(self) -> int:
        """The index of the last stage that takes steps: one that only fits may come after it."""
        trained = [i for i, stage in enumerate(self.stages) if stage.images]
        return trained[-1] if trained else len(self.stages) - 1


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the comparison: the trials of one experiment, seen by one sampler.

    ``label`` is the preset or the settings in which experiments of the same model differ.
    ``place`` says of which trials seconds are told: those of one machine and device alone (None:
    of the place where most of them ran). ``scores``, ``floors`` and ``distances`` (from the floor,
    of metrics whose best value is their floor) have one value for each seed; ``of_model`` names
    the metrics that are scores of the model itself, whatever the sampler.
    """

    trials: tuple[Trial, ...]
    sampler: str
    label: str = ""
    place: Place | None = None
    scores: Mapping[str, Measure] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    distances: Mapping[str, Measure] = field(default_factory=dict)
    of_model: frozenset[str] = frozenset()

    @property
    def first(self) -> Trial:
        """The trial with the lowest seed: it stands for all where they are alike."""
        return self.trials[0]

    @property
    def title(self) -> str:
        """'vaegan', or 'vaegan (lin2023)'."""
        return f"{self.first.kind} ({self.label})" if self.label else self.first.kind

    @cached_property
    def seeds(self) -> tuple[tuple[Trial, ...], ...]:
        """The trials by seed: runs of one seed are repeats, and one observation together."""
        found: dict[Any, list[Trial]] = {}
        for trial in self.trials:
            found.setdefault((trial.seed, trial.lineage), []).append(trial)
        return tuple(tuple(repeats) for repeats in found.values())

    def over_seeds(self, value: Callable[[Trial], float | None]) -> Measure | None:
        """A figure of the trials with one value for each seed: the mean over its repeats.

        Trials without it (None) are left out; None where no trial has it.
        """
        values = []
        for repeats in self.seeds:
            known = [found for trial in repeats if (found := value(trial)) is not None]
            if known:
                values.append(Measure(values=tuple(known)).mean)
        return Measure(values=tuple(values)) if values else None

    # --- seconds: of one place

    @cached_property
    def timed(self) -> tuple[Trial, ...]:
        """The trials whose seconds are told: all of one place."""
        there = [trial.place for trial in self.trials]
        place = self.place if self.place in there else max(there, key=there.count)
        return tuple(trial for trial in self.trials if trial.place == place)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of its stages, in order."""
        return tuple(stage.name for stage in self.first.stages)

    def stage(self, index: int, what: str) -> Measure:
        """A figure of a stage over the timed trials: 'epoch_s', 'prepare_s' or 'total_s'."""
        trials = [t for t in self.timed if len(t.stages) == len(self.stages)]
        return Measure(values=tuple(float(getattr(t.stages[index], what)) for t in trials))

    @cached_property
    def total_s(self) -> Measure:
        """Seconds of training in all, with the runs that these build upon where they ran there."""
        return Measure(values=tuple(trial.total_s for trial in self.timed))

    @cached_property
    def parents_s(self) -> Measure:
        """Seconds of the runs that these build upon."""
        return Measure(values=tuple(trial.parents_s for trial in self.timed))

    @property
    def parents_elsewhere(self) -> bool:
        """Whether a run that one of these builds upon ran on another machine or device."""
        return any(trial.parents_elsewhere for trial in self.timed)

    @cached_property
    def epoch_s(self) -> Measure:
        """Seconds of an epoch of the main stage: the one that makes the model what it is."""
        if not self.stages:
            return Measure(values=(math.nan,))
        return self.stage(self.first.main_stage, "epoch_s")

    # --- scores: one value for each seed

    def ranked(self, metric: str) -> Measure | None:
        """What a metric ranks by: its values, or their distances from the floor."""
        return self.distances.get(metric) or self.scores.get(metric)

    def ratio(self, metric: str) -> float | None:
        """How many times its floor (real against real) a mean score is."""
        floor = self.floors.get(metric)
        return self.scores[metric].mean / floor if metric in self.scores and floor else None


def samplers_of(trial: Trial) -> list[str]:
    """The samplers that a trial was scored by; [""] where it has no scores.

    A score of the model itself (no samples drawn) has no sampler and belongs to every row.
    """
    found = list(dict.fromkeys(score.sampler for score in trial.scores if score.sampler))
    return found or [""]


def scores_of(trial: Trial, row: Contender) -> list[Scored]:
    """The scores of a trial that belong to a row: its sampler's, and those of the model itself."""
    return [s for s in trial.scores if s.sampler in ("", row.sampler)]
