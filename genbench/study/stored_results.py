"""The finished runs of a study, read from the store under the names that the study gives them.

`genbench.compare` gets each of them with its row's title as model and the study's labels as
samplers, and only with the scores that the study asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from genbench.compare import RunResult, sampler_label
from genbench.compare.read_results import quoted, read_results
from genbench.formatting import number
from genbench.spec import canonical_json
from genbench.store import Store
from genbench.store.records import Draw, Run, Status
from genbench.study.existing_runs import ExistingRuns
from genbench.study.grid import planned_runs
from genbench.study.pace import Pace
from genbench.study.plan import Entry, Plan, PlannedRun

_SHOWN = ("genbench", "torch", "cpu", "cpus", "threads", "gpu")
"""The parts of an environment that the page shows."""

_TOO_LONG = 1.5
"""A run that trained for more than this multiple of its seconds gets a remark."""


@dataclass
class StoredResults:
    """Finished runs by id; draws and numbers of samples by (id, label of the sampler).

    ``cpu_s`` has the CPU seconds of the runs for which all of them are known.
    """

    results: list[RunResult] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    draws: dict[tuple[str, str], Draw] = field(default_factory=dict)
    samples: dict[tuple[str, str], int] = field(default_factory=dict)
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    environments: list[Mapping[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_stored(store: Store, plan: Plan, paces: Mapping[str, Pace]) -> StoredResults:
    """Read all finished runs of a plan; a run that isn't finished becomes a remark."""
    found, existing = StoredResults(), ExistingRuns(store, plan)
    entries: dict[str, Entry] = {}
    for planned in planned_runs(plan, paces):
        run = existing.run(planned)
        if run is not None and run.status is Status.FINISHED:
            entries[run.id] = planned.entry
            found.runs[run.id] = run
            _add(store, run, planned.entry, found)
        found.remarks += _of_length(run, planned)
    numbers = store.rows(f"SELECT run FROM runs WHERE id IN ({quoted(entries)})")
    for result in read_results(store, [row[0] for row in numbers]) if numbers else ():
        found.results.append(_renamed(result, entries[result.id]))
    found.cpu_s = _cpu_seconds(store, entries)
    for entry in plan.entries:
        found.remarks += [f"{entry.title}: {s.refused}" for s in entry.samplings if s.refused]
    notes = (f"{entry.row.title}: {entry.row.note}" for entry in plan.entries if entry.row.note)
    found.remarks = list(dict.fromkeys((*notes, *found.remarks)))
    return found


def _add(store: Store, run: Run, entry: Entry, found: StoredResults) -> None:
    """Add the environment, the newest draw of each sampler, and remarks on skipped metrics."""
    environment = {k: v for k, v in store.environment(run.id).items() if k in _SHOWN}
    if environment not in found.environments:
        found.environments.append(environment)
    labels = _labels(entry)
    newest: dict[str, Draw] = {}
    for draw in store.draws(run.id):
        label = labels.get(_text(draw.sampler, draw.sampler_settings))
        if label is not None:
            newest[label] = draw
            found.draws[run.id, label] = draw
    for label, draw in newest.items():
        by = f", by {label}" if label and len(entry.samplings) > 1 else ""
        lacking: dict[str, list[str]] = {}
        for metric, why in draw.skipped.items():
            lacking.setdefault(why, []).append(metric)
        for why, metrics in lacking.items():
            title = f"{entry.title}, seed {run.seed}{by}"
            found.remarks.append(f"{title}: no {', '.join(metrics)}: {why}")
    for score in store.scores(run.id):
        label = labels.get(_text(score.sampler, score.sampler_settings))
        if label is not None and score.final:
            found.samples[run.id, label] = score.n


def _cpu_seconds(store: Store, runs: Iterable[str]) -> dict[str, float]:
    """Id -> CPU seconds of the epochs of a run and of all runs that it builds upon."""
    return dict(
        store.rows(
            "WITH RECURSIVE line(id, run) AS ("
            f"SELECT id, run FROM runs WHERE id IN ({quoted(runs)}) UNION "
            "SELECT line.id, r.run FROM line JOIN run_parents p ON p.run = line.run "
            "JOIN runs r ON r.id = p.parent) "
            "SELECT line.id, sum(e.cpu_s) FROM line JOIN epochs e ON e.run = line.run "
            "GROUP BY line.id HAVING count(*) = count(e.cpu_s)"
        )
    )


def _text(sampler: str, settings: Mapping[str, Any]) -> str:
    return sampler_label(sampler, canonical_json(dict(settings)))


def _labels(entry: Entry) -> dict[str, str]:
    """compare's label of a sampler -> the study's label; scores of the model have an empty one."""
    named = {_text(s.part.name, s.part.settings): s.label for s in entry.samplings}
    return {"": "", **named}


def _renamed(run: RunResult, entry: Entry) -> RunResult:
    labels = _labels(entry)
    scores = tuple(
        replace(score, sampler=labels[score.sampler])
        for score in run.scores
        if score.sampler in labels
    )
    title = entry.row.title
    # The row's title says what it is built upon.
    return replace(run, model=title, experiment=title, preset=None, scores=scores, sources=())


def _of_length(run: Run | None, planned: PlannedRun) -> Iterator[str]:
    """Remarks on a run that is missing, not finished, or trained for much longer than planned."""
    seconds = planned.entry.seconds
    if run is None:
        yield f"{planned.title}: not run yet"
    elif run.status is not Status.FINISHED:
        why = f": {run.error}" if run.error else ""
        yield f"{planned.title}: run {run.id} is {run.status}{why}"
    elif seconds is not None and run.train_s > _TOO_LONG * seconds:
        yield (
            f"{planned.title}: trained for {number(run.train_s, 3)} s, not {seconds:g} s, in "
            f"{run.epochs_done} epochs: the machine was busier than during the pilot, or a "
            "single epoch takes longer than that"
        )
