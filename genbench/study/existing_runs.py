"""The runs of a study that are already in the store, and the scores that they lack.

A stored run counts as a planned run if it was trained in the same way (`training_key`), on the same
kind of device and, on a CPU, with the same number of threads. It does not matter who started it or
which other scores it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genbench.spec import Part, RunSpec, canonical_json
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.study.plan import Entry, Plan, PlannedRun, Sampling, training_key

_RANK = {
    Status.FINISHED: 0,
    Status.RUNNING: 1,
    Status.INTERRUPTED: 2,
    Status.LOST: 2,
    Status.PRUNED: 2,
    Status.FAILED: 3,
    Status.QUEUED: 4,
}
"""The stored run with the lowest rank counts, and the newest one among equals."""


class ExistingRuns:
    """The runs of a store with the models and data sets of a plan, read once."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store, self._plan = store, plan
        self._runs: defaultdict[str, list[Run]] = defaultdict(list)
        for model, dataset in {(entry.row.model, entry.spec.dataset) for entry in plan.entries}:
            for run in store.runs(model=model, dataset=dataset):
                try:
                    self._runs[training_key(RunSpec.from_json(run.spec))].append(run)
                except ValueError:
                    continue  # the spec was written by a newer genbench

    def ready(self, planned: PlannedRun) -> PlannedRun | None:
        """The planned run with its source run, if it has one; None until that is finished."""
        if planned.source is None:
            return planned
        found = self.run(planned.source)
        if found is None or found.status is not Status.FINISHED:
            return None
        return replace(planned, source_run=found.id)

    def run(self, planned: PlannedRun) -> Run | None:
        """The stored run, in any status; None if there is none or it can't be trained yet."""
        if planned.epochs is None or (known := self.ready(planned)) is None:
            return None
        planned = known
        fitting = [
            run for run in self._runs[training_key(planned.spec)] if self._fits(run, planned)
        ]
        return min(fitting, key=lambda run: _RANK[run.status], default=None)

    def _fits(self, run: Run, planned: PlannedRun) -> bool:
        wanted = self._plan.device
        if "," not in wanted:  # any number names one device
            wanted = wanted.partition(":")[0]
        if wanted not in ("auto", run.device):
            return False
        if run.device == "cpu":
            threads = self._store.environment(run.id).get("threads")
            if threads is not None and threads != self._plan.study.threads:
                return False
        own = {part.name: dict(part.settings) for part in RunSpec.from_json(run.spec).metrics}
        return all(
            own.get(part.name, part.settings) == part.settings
            for part in planned.entry.spec.metrics
        )


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Metrics that a finished run lacks for one of the samplers."""

    sampling: Sampling
    metrics: tuple[str, ...]


def missing(store: Store, run: Run, entry: Entry, *, retry: bool = False) -> list[Missing]:
    """What is left to evaluate. Without ``retry``, a metric that was skipped counts as done."""
    metrics = [part.name for part in entry.spec.metrics]
    wanted = []
    for sampling in entry.samplings:
        found = () if sampling.refused else lacking(store, run, sampling.part, metrics, retry=retry)
        if found:
            wanted.append(Missing(sampling=sampling, metrics=found))
    return wanted


def lacking(
    store: Store, run: Run, sampler: Part, metrics: Sequence[str], *, retry: bool = False
) -> tuple[str, ...]:
    """The metrics that a run has no final score of, for a sampler and its settings."""
    draws = store.draws(run.id)
    last = max((draw.epoch for draw in draws), default=0)
    scored: defaultdict[str, set[str]] = defaultdict(set)
    for score in (score for score in store.scores(run.id) if score.final):
        scored[_key(score.sampler, score.sampler_settings)].add(score.metric)
    # A metric may have scores under other names than its own; only the spec of the run then shows
    # that it was computed.
    unnamed = {part.name for part in RunSpec.from_json(run.spec).metrics}
    unnamed -= set().union(*scored.values())
    keys = (_key(sampler.name, sampler.settings), _key("", {}))
    done = scored[keys[0]] | scored[keys[1]]
    for draw in draws if not retry else ():
        drawn = _key(draw.sampler, draw.sampler_settings)
        if draw.epoch == last and drawn in keys:
            done |= {*draw.skipped, *(unnamed if drawn == keys[0] else ())}
    return tuple(name for name in metrics if name not in done)


def _key(sampler: str, settings: Mapping[str, Any]) -> str:
    return f"{sampler} {canonical_json(dict(settings))}"
