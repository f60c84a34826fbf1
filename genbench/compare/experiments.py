"""What `compare` works on: finished runs grouped by experiment, with their costs and scores.

A *trial* is one run; a *contender* is one experiment as one sampler shows it: all seeds together.
Everything here is arithmetic on records; nothing is read from a store.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SHOWN_SETTINGS = 4
"""Settings in a contender's label, at most."""

_NO_DIFFERENCE = (
    "evaluate_every",
    "sample_every",
    "log_every",
    "metrics",
    "seed",
    "preset",
    "parents",
    "parent_experiments",
)
"""Fields of a spec that don't change what is trained."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One quantity over the runs of an experiment, in the order of their seeds."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """The number of runs that have it."""
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        """The mean; NaN where any run's value is not finite."""
        if not all(map(math.isfinite, self.values)):
            return math.nan
        return math.fsum(self.values) / self.n

    @cached_property
    def sd(self) -> float | None:
        """The standard deviation over the runs (n - 1 below); None for a single one."""
        if self.n < 2 or math.isnan(self.mean):
            return None
        # Not statistics.stdev: importing statistics takes 15 ms (decimal, fractions, random).
        squares = math.fsum((value - self.mean) ** 2 for value in self.values)
        return math.sqrt(squares / (self.n - 1))

    def overlaps(self, other: Measure) -> bool:
        """Whether mean ± sd of both touch; never where one of them has no spread."""
        if self.sd is None or other.sd is None:
            return False
        return abs(self.mean - other.mean) <= self.sd + other.sd


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
class Trial:
    """One finished run: where it ran, what its stages cost, how it was scored.

    ``dataset`` and ``data_settings`` are of the data that its samples are compared with: where it
    was trained on the latents of other runs, those of what these encoded; ``lenders`` are then
    their specs, the nearest first. ``machine`` names the hardware; ``parents_s`` is what the runs
    cost that it builds upon; ``reached_s`` are the training seconds until a target score, None
    where it never was.
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
    machine: str
    stages: tuple[StageCost, ...]
    scores: tuple[Scored, ...]
    lenders: tuple[Mapping[str, Any], ...] = ()
    parents_s: float = 0.0

    @property
    def kind(self) -> str:
        """'gan', or 'gan on latents of vae'."""
        return " on latents of ".join((self.model, *(str(s["model"]) for s in self.lenders)))

    @property
    def total_s(self) -> float:
        """All stages, and the runs it builds upon."""
        return sum(stage.total_s for stage in self.stages) + self.parents_s

    @property
    def main_stage(self) -> int:
        """The index of the last stage that takes steps: one that only fits may come after it."""
        trained = [i for i, stage in enumerate(self.stages) if stage.images]
        return trained[-1] if trained else len(self.stages) - 1

    @property
    def conditions(self) -> tuple[str, ...]:
        """What must be equal for seconds to be compared: the data and the device they ran on."""
        data = json.dumps(self.data_settings, sort_keys=True)
        return (self.dataset, data, device_kind(str(self.spec.get("device", ""))), self.machine)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the comparison: the trials of one experiment, seen by one sampler.

    ``label`` is the preset or the settings in which experiments of the same model differ.
    """

    trials: tuple[Trial, ...]
    sampler: str
    label: str = ""
    scores: Mapping[str, Measure] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def first(self) -> Trial:
        """The trial with the lowest seed: it stands for all where they are alike."""
        return self.trials[0]

    @property
    def title(self) -> str:
        """'vaegan', or 'vaegan (lin2023)'."""
        return f"{self.first.kind} ({self.label})" if self.label else self.first.kind

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of its stages, in order."""
        return tuple(stage.name for stage in self.first.stages)

    def stage(self, index: int, what: str) -> Measure:
        """A figure of a stage over the trials: 'epoch_s', 'train_s', 'prepare_s' or 'total_s'."""
        trials = [t for t in self.trials if len(t.stages) == len(self.stages)]
        return Measure(values=tuple(float(getattr(t.stages[index], what)) for t in trials))

    @cached_property
    def total_s(self) -> Measure:
        """Seconds of training in all, with the runs that these build upon."""
        return Measure(values=tuple(trial.total_s for trial in self.trials))

    @cached_property
    def epoch_s(self) -> Measure:
        """Seconds of an epoch of the main stage: the one that makes the model what it is."""
        if not self.stages:
            return Measure(values=(math.nan,))
        return self.stage(self.first.main_stage, "epoch_s")

    def ratio(self, metric: str) -> float | None:
        """How many times its floor (real against real) a mean score is."""
        floor = self.floors.get(metric)
        return self.scores[metric].mean / floor if metric in self.scores and floor else None


def device_kind(device: str) -> str:
    """'cuda' of 'cuda:1'."""
    return device.partition(":")[0]


def contenders(trials: Iterable[Trial]) -> list[Contender]:
    """Group trials: one contender for each experiment and each sampler that scored it."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        for sampler in samplers_of(trial):
            groups.setdefault((trial.experiment, sampler), []).append(trial)
    made = [
        Contender(trials=tuple(sorted(g, key=lambda t: (t.seed, t.created_at))), sampler=sampler)
        for (_, sampler), g in groups.items()
    ]
    return _labelled(made)


def samplers_of(trial: Trial) -> list[str]:
    """The samplers that a trial was scored by; [""] where it has no scores.

    A score of the model itself (no samples drawn) has no sampler and belongs to every row.
    """
    found = list(dict.fromkeys(score.sampler for score in trial.scores if score.sampler))
    return found or [""]


def scores_of(trial: Trial, row: Contender) -> list[Scored]:
    """The scores of a trial that belong to a row: its sampler's, and those of the model itself."""
    return [s for s in trial.scores if s.sampler in ("", row.sampler)]


def _labelled(rows: Sequence[Contender]) -> list[Contender]:
    by_kind: dict[str, list[Contender]] = {}
    for row in rows:
        by_kind.setdefault(row.first.kind, []).append(row)
    labels: dict[str, str] = {}
    for group in by_kind.values():
        labels |= _labels([row.first for row in group])
    return [
        Contender(trials=r.trials, sampler=r.sampler, label=labels[r.first.experiment])
        for r in rows
    ]


def _labels(trials: Sequence[Trial]) -> dict[str, str]:
    """Experiment -> preset, and the settings in which these experiments of one model differ."""
    alone = len({trial.experiment for trial in trials}) == 1
    flat = {trial.experiment: _flat(trial) for trial in trials}
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    differ = [k for k in keys if len({repr(settings.get(k)) for settings in flat.values()}) > 1]
    labels = {}
    for trial in trials:
        parts = [trial.preset] if trial.preset else []
        if not alone:
            settings = flat[trial.experiment]
            shown = [key for key in differ if key in settings][:SHOWN_SETTINGS]
            parts += [f"{key}={_short(settings[key])}" for key in shown]
            if len(differ) > SHOWN_SETTINGS:
                parts.append(f"+{len(differ) - SHOWN_SETTINGS} more")
        labels[trial.experiment] = ", ".join(parts)
    if len(set(labels.values())) < len(labels):
        return {e: ", ".join(filter(None, (label, e[:6]))) for e, label in labels.items()}
    return labels


def _flat(trial: Trial) -> dict[str, Any]:
    """What decides a trial's training; of a run that lent its latents, under its model's name."""
    flat = flatten(trial.spec)
    if not trial.lenders:
        return flat
    lent = trial.spec.get("parents", ())
    flat = {key: value for key, value in flat.items() if value not in lent}
    for lender in trial.lenders:
        flat |= {f"{lender['model']}.{key}": value for key, value in flatten(lender).items()}
    return flat


def flatten(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the training in a spec, under short names: 'z_dim', 'epochs', 'data.size'."""
    flat: dict[str, Any] = dict(spec.get("model_settings", {}))
    for key, value in spec.items():
        if key == "dataset_settings":
            flat |= {f"data.{name}": setting for name, setting in value.items()}
        elif key == "samplers":
            flat[key] = "+".join(part["name"] for part in value)
        elif key not in ("model", "dataset", "model_settings", "version", *_NO_DIFFERENCE):
            flat[key] = value
    return flat


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "-".join(map(_short, value))
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)
