"""The runs of a study that are already in the store, and the scores that they lack.

A stored run counts as a planned run if it was trained in the same way (`training_key`), on the same
kind of device and, on a CPU, with the same number of threads. It does not matter who started it or
which other scores it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from genbench.spec import RunSpec, canonical_json
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
        if wanted != "auto" and run.device != wanted.partition(":")[0]:
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
    scores = [score for score in store.scores(run.id) if score.final]
    draws = store.draws(run.id)
    last = max((draw.epoch for draw in draws), default=0)
    scored: defaultdict[str, set[str]] = defaultdict(set)
    for score in scores:
        scored[_key(score.sampler, score.sampler_settings)].add(score.metric)
    drawn = {_key(draw.sampler, draw.sampler_settings) for draw in draws if draw.epoch == last}
    for draw in draws if not retry else ():
        if draw.epoch == last:
            scored[_key(draw.sampler, draw.sampler_settings)] |= set(draw.skipped)
    named = {score.metric for score in scores}
    # A metric may have scores under other names than its own; only the spec of the run then shows
    # that it was computed.
    unnamed = {part.name for part in RunSpec.from_json(run.spec).metrics} - named
    of_model = scored[_key("", {})]
    wanted = []
    for sampling in entry.samplings:
        key = _key(sampling.part.name, sampling.part.settings)
        done = scored[key] | of_model | (unnamed if key in drawn and not retry else set())
        lacking = tuple(p.name for p in entry.spec.metrics if p.name not in done)
        if lacking and not sampling.refused:
            wanted.append(Missing(sampling=sampling, metrics=lacking))
    return wanted


def _key(sampler: str, settings: Mapping[str, Any]) -> str:
    return f"{sampler} {canonical_json(dict(settings))}"
