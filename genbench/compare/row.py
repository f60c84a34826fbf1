"""One row of a comparison: the finished runs of one experiment, with one sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from genbench.compare.certainty import Difference
from genbench.compare.measure import Measure
from genbench.compare.run_results import Place, RunResult, Variant


@dataclass(frozen=True, kw_only=True)
class Row:
    """The finished runs of one experiment, scored with one sampler; ``runs`` by ascending seed.

    ``label`` is the preset, or the settings in which experiments with the same model differ.
    ``place`` is the device and machine of the seconds that the row shows (None: where most of its
    runs trained).

    ``scores``, ``floors`` and ``distances`` (from the floor, for metrics that are best at their
    floor) have one value per seed. ``of_model`` names the metrics that score the model itself,
    independent of the sampler. ``best`` names the metrics in which no selected row is better;
    ``differences`` has the difference to the best row in each metric.

    ``epoch_speedup`` is the baseline's seconds per epoch, in its last stage, over those of this
    row; ``total_speedup`` is the same for all training seconds. Both are None if the seconds can't
    be compared, and their ``_sd`` is None if either row has a single run. ``busy`` says why the
    seconds of this row can't be trusted.

    ``against_parent`` has each score of a compressed run, divided by that of the run which it
    compresses.

    ``to_target`` has the seconds until the first evaluation at the target or better, for the
    ``reached`` runs that got there; ``target_gap_s`` is the mean time since the evaluation before.
    """

    runs: tuple[RunResult, ...]
    sampler: str
    label: str = ""
    place: Place | None = None
    scores: Mapping[str, Measure] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    distances: Mapping[str, Measure] = field(default_factory=dict)
    of_model: frozenset[str] = frozenset()
    best: frozenset[str] = frozenset()
    differences: Mapping[str, Difference] = field(default_factory=dict)
    is_baseline: bool = False
    epoch_speedup: float | None = None
    epoch_speedup_sd: float | None = None
    total_speedup: float | None = None
    total_speedup_sd: float | None = None
    busy: str | None = None
    against_parent: Mapping[str, Measure] = field(default_factory=dict)
    to_target: Measure | None = None
    target_gap_s: float | None = None
    reached: int = 0

    @property
    def key(self) -> tuple[Variant, str]:
        """What identifies the row in its table."""
        return self.first.variant, self.sampler

    @property
    def first(self) -> RunResult:
        """The run with the lowest seed, which represents the others in what they share."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """'vaegan', or 'vaegan (lin2023)'."""
        return f"{self.first.kind} ({self.label})" if self.label else self.first.kind

    @cached_property
    def experiments(self) -> int:
        """The number of experiments that the row pools; 1 unless rows are made by a setting."""
        return len({run.variant for run in self.runs})

    @cached_property
    def seeds(self) -> tuple[tuple[RunResult, ...], ...]:
        """The runs grouped into observations: by seed, since runs with one seed are repeats.

        In a row that pools experiments, each experiment is one observation: its seeds share the
        settings in which the pooled experiments differ, so they aren't independent.
        """
        found: dict[Any, list[RunResult]] = {}
        for run in self.runs:
            key = run.variant if self.experiments > 1 else (run.seed, run.lineage)
            found.setdefault(key, []).append(run)
        return tuple(tuple(repeats) for repeats in found.values())

    def over_seeds(self, value: Callable[[RunResult], float | None]) -> Measure | None:
        """A quantity with one value per seed, the mean over its repeats.

        Runs for which ``value`` is None are left out. Returns None if no run is left.
        """
        values = []
        for repeats in self.seeds:
            known = [found for run in repeats if (found := value(run)) is not None]
            if known:
                values.append(Measure(values=tuple(known)).mean)
        return Measure(values=tuple(values)) if values else None

    # --- seconds on one machine

    @cached_property
    def timed(self) -> tuple[RunResult, ...]:
        """The runs that the seconds are of: those that trained on one device and machine."""
        there = [run.place for run in self.runs]
        place = self.place if self.place in there else max(there, key=there.count)
        return tuple(run for run in self.runs if run.place == place)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order."""
        return tuple(stage.name for stage in self.first.stages)

    def stage(self, index: int, what: str) -> Measure:
        """A quantity of a stage over the timed runs: 'epoch_s', 'prepare_s' or 'total_s'."""
        runs = [t for t in self.timed if len(t.stages) == len(self.stages)]
        return _over_clocks(runs, lambda run: float(getattr(run.stages[index], what)))

    @cached_property
    def total_s(self) -> Measure:
        """Total training seconds, see `RunResult.total_s`."""
        return _over_clocks(self.timed, lambda run: run.total_s)

    @cached_property
    def parents_s(self) -> Measure:
        """Training seconds of the runs that these build upon."""
        return _over_clocks(self.timed, lambda run: run.parents_s)

    @property
    def parents_elsewhere(self) -> bool:
        """Whether a run that one of these builds upon was trained on another machine or device."""
        return any(run.parents_elsewhere for run in self.timed)

    @cached_property
    def epoch_s(self) -> Measure:
        """Seconds per epoch in the main stage, see `RunResult.main_stage`."""
        if not self.stages:
            return Measure(values=(math.nan,))
        return self.stage(self.first.main_stage, "epoch_s")

    # --- the cost of a sample

    @cached_property
    def nfe(self) -> float | None:
        """Function evaluations for a sample, the most of any run; None if no draw counted them."""
        counted = [cost.nfe for run in self.runs if (cost := run.draws.get(self.sampler))]
        return max((nfe for nfe in counted if nfe is not None), default=None)

    @cached_property
    def sample_s(self) -> Measure | None:
        """Seconds of the sampler for a sample, over the timed runs."""
        costs = [cost for run in self.timed if (cost := run.draws.get(self.sampler))]
        known = tuple(cost.seconds for cost in costs if cost.seconds is not None)
        return Measure(values=known) if known else None

    # --- scores, with one value per seed

    def ranked(self, metric: str) -> Measure | None:
        """What a metric ranks by: its values, or their distances from the floor."""
        return self.distances.get(metric) or self.scores.get(metric)

    def ratio(self, metric: str) -> float | None:
        """The mean score over its floor, which is the score of real data against real data."""
        floor = self.floors.get(metric)
        return self.scores[metric].mean / floor if metric in self.scores and floor else None


def _over_clocks(runs: Sequence[RunResult], value: Callable[[RunResult], float]) -> Measure:
    """Seconds over the runs; those that were trained together were measured by one clock.

    Their shares are equal, so they are one observation.
    """
    found: dict[object, list[float]] = {}
    for run in runs:
        found.setdefault(run.together or run.id, []).append(value(run))
    return Measure(values=tuple(Measure(values=tuple(own)).mean for own in found.values()))
