"""The tables of a study: scores as `genbench.compare` ranks them, with facts about the runs.

Means, standard deviations, protocols and best values come from compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.compare import Column, Measure, Question, Row, Table, reached, tabulate
from genbench.formatting import ARROWS, plus_minus
from genbench.report.cells import timed
from genbench.store import Store
from genbench.study.pace import Pace
from genbench.study.plan import Entry, Plan
from genbench.study.stored_results import StoredResults, read_stored
from genbench.study.table_columns import OF_TRAINING, SORTS

NOTHING = "–"
FLOOR = "real data (floor)"


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a table: its text, whether it is the best of its column, and its measure."""

    text: str = NOTHING
    best: bool = False
    measure: Measure | None = None


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row with one sampler: its values by column, and the ids of its runs."""

    title: str
    sampler: str
    values: Mapping[str, Value]
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """One table. ``names`` are the columns after title and sampler, ``scores`` those of metrics.

    ``floors`` has the score of real data against real data, for metrics with a floor.
    """

    dataset: str
    settings: Mapping[str, Any]
    names: tuple[str, ...]
    scores: Mapping[str, Column]
    rows: tuple[StudyRow, ...]
    floors: Mapping[str, float]
    remarks: tuple[str, ...] = ()

    def heading(self, name: str) -> str:
        """'fd_clf ↓'."""
        column = self.scores.get(name)
        return f"{name} {ARROWS.get(column.direction, '') if column else ''}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Results:
    """All tables of a study, the environments of its runs, and the remarks below the tables."""

    tables: tuple[StudyTable, ...]
    environments: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]


def results(store: Store, plan: Plan, paces: Mapping[str, Pace]) -> Results:
    """The tables of all finished runs of a plan."""
    found = read_stored(store, plan, paces)
    asked = plan.study.table
    known = {score.metric for run in found.results for score in run.scores}
    sort = SORTS.get(asked.sort_by or "", asked.sort_by)
    question = Question(
        metrics=tuple(name for name in asked.columns or () if name in known),
        sort=sort if sort in known or sort in SORTS.values() else None,
        target=asked.target,
    )
    times = {} if asked.target is None else reached(store, found.results, asked.target)
    compared = tabulate(found.results, question, times) if found.results else []
    tables = tuple(_study_table(table, plan, found) for table in compared)
    remarks = list(found.remarks)
    for name in asked.columns or ():
        if tables and all(_is_empty(table, name) for table in tables):
            remarks.append(f"no run has '{name}', neither as a score nor as a sampler's diagnostic")
    return Results(tables=tables, environments=tuple(found.environments), remarks=tuple(remarks))


def _study_table(table: Table, plan: Plan, found: StoredResults) -> StudyTable:
    scores = {column.metric: column for column in table.columns}
    asked = plan.study.table.columns
    names = asked or (*scores, "epochs", "s/epoch", "train_s")
    entries = [
        entry
        for entry in plan.entries
        if entry.dataset == table.dataset and entry.data_settings == table.settings
    ]
    rows = [_study_row(row, names, scores, entries, found) for row in table.rows]
    present = {(row.title, row.sampler) for row in rows}
    order = [(e.row.title, s.label) for e in entries for s in e.samplings if not s.refused]
    empty = {name: Value() for name in names}
    rows += [StudyRow(title=t, sampler=s, values=empty) for t, s in order if (t, s) not in present]
    if not plan.study.table.sort_by:
        rows.sort(key=lambda row: order.index((row.title, row.sampler)))
    return StudyTable(
        dataset=table.dataset,
        settings=table.settings,
        names=tuple(names),
        scores=scores,
        rows=tuple(rows),
        floors=_floors(table.rows, names),
        remarks=(*table.warnings, *table.notes, *_about_seconds(table.rows, names)),
    )


def _about_seconds(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """Sentences about seconds of several places, or of seeds that were trained together."""
    if not {*names} & {*OF_TRAINING}:
        return
    places: dict[str, dict[str, None]] = {}
    for row in rows:
        places.setdefault(str(row.timed[0].place), {})[row.title] = None
    if len(places) > 1:
        for place, titles in places.items():
            yield f"seconds of {', '.join(titles)} are on {place}; compare them with no others"
    elif any(row.timed[0].together for row in rows):
        yield "the seeds of each row were trained together; seconds are the share of one of them"


def _study_row(
    row: Row,
    names: Sequence[str],
    scores: Mapping[str, Column],
    entries: Sequence[Entry],
    found: StoredResults,
) -> StudyRow:
    first = next(e for e in entries if e.row.title == row.title).samplings[0].label
    # A run that was scored without samples has no sampler; it counts for the first one.
    sampler = row.sampler or first
    values = {
        name: _score(row, name) if name in scores else _fact(name, row, sampler, first, found)
        for name in names
    }
    runs = tuple(run.id for run in row.runs)
    return StudyRow(title=row.title, sampler=sampler, values=values, runs=runs)


def _score(row: Row, name: str) -> Value:
    measure = row.scores.get(name)
    return _value(measure, of=len(row.seeds), best=name in row.best)


def _fact(name: str, row: Row, sampler: str, first: str, found: StoredResults) -> Value:
    """A column that isn't a metric: one of `FACTS`, or else a diagnostic of the sampler."""
    runs = [run.id for run in row.runs]
    of = len(row.seeds)
    match name:
        case "seeds":
            return Value(text=str(len(row.seeds)))
        case "epochs":
            return Value(text=" + ".join(str(s.epochs) for s in row.first.stages))
        case "parameters":
            return Value(text=f"{found.runs[runs[0]].parameters or 0:,}")
        case "s/epoch":
            text = timed(row.epoch_s.mean, row.epoch_s.sd)
            return Value(text=text, measure=row.epoch_s)
        case "train_s":
            return _value(row.total_s, of=row.total_s.n)
        case "cpu_s":
            own = {run.id for run in row.timed}
            known = {run: seconds for run, seconds in found.cpu_s.items() if run in own}
            return _value(row.over_seeds(lambda run: known.get(run.id)), of=of)
        case "target_s":
            return _value(_to_target(row), of=len(row.timed))
        case "s/sample":
            return _value(row.over_seeds(lambda run: _per_sample(run.id, sampler, found)), of=of)
        case "cost":
            return _value(row.over_seeds(lambda run: _cost(run.id, sampler, first, found)), of=of)
        case _:
            return _value(
                row.over_seeds(lambda run: _diagnostic(run.id, sampler, name, found)), of=of
            )


def _to_target(row: Row) -> Measure | None:
    """The seconds until the target, with those of the runs that the row is built upon."""
    if row.to_target is None:
        return None
    parents = [run.parents_s for run in row.timed]
    before = math.fsum(parents) / len(parents)
    return Measure(values=tuple(before + at for at in row.to_target.values))


def _value(measure: Measure | None, *, of: int, best: bool = False) -> Value:
    if measure is None:
        return Value()
    text = plus_minus(measure.mean, measure.sd)
    count = "" if measure.n == of else f" (n {measure.n})"
    return Value(text=text + count, best=best, measure=measure)


def _per_sample(run: str, sampler: str, found: StoredResults) -> float | None:
    draw, n = found.draws.get((run, sampler)), found.samples.get((run, sampler))
    return draw.seconds / n if draw and n else None


def _cost(run: str, sampler: str, first: str, found: StoredResults) -> float | None:
    """Seconds per sample over those of the first sampler."""
    value, base = (_per_sample(run, label, found) for label in (sampler, first))
    return value / base if value is not None and base else None


def _diagnostic(run: str, sampler: str, name: str, found: StoredResults) -> float | None:
    draw = found.draws.get((run, sampler))
    return draw.diagnostics.get(name) if draw else None


def _floors(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    floors = {}
    for name in names:
        known = [f for row in rows if (f := row.floors.get(name)) is not None]
        if known:
            floors[name] = math.fsum(known) / len(known)
    return floors


def _is_empty(table: StudyTable, name: str) -> bool:
    return all(row.values[name].text == NOTHING for row in table.rows)
