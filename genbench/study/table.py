"""The tables of a study: scores as `genbench.compare` ranks them, with facts of the runs beside.

Means, spreads, protocols and best values are compare's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.compare import Column, Contender, Measure, Question, Row, Table, tabulate
from genbench.formatting import ARROWS, plus_minus
from genbench.report.cells import timed
from genbench.store import Store
from genbench.study.columns import SORTS
from genbench.study.gather import Gathered, gather
from genbench.study.pace import Pace
from genbench.study.plan import Entry, Plan

NOTHING = "–"
FLOOR = "real data (floor)"


@dataclass(frozen=True, kw_only=True)
class Value:
    """One cell: its text, whether it is the best of its column, and the figures behind it."""

    text: str = NOTHING
    best: bool = False
    measure: Measure | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: a row of the study as one sampler shows it, by column; ``runs`` are its runs."""

    title: str
    sampler: str
    values: Mapping[str, Value]
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table. ``names`` are the columns after title and sampler, ``scores`` those of metrics.

    ``floors``: what each metric gives for real data against real data, where it has a floor.
    """

    dataset: str
    settings: Mapping[str, Any]
    names: tuple[str, ...]
    scores: Mapping[str, Column]
    lines: tuple[Line, ...]
    floors: Mapping[str, float]
    remarks: tuple[str, ...] = ()

    def heading(self, name: str) -> str:
        """'fd_clf ↓'."""
        column = self.scores.get(name)
        return f"{name} {ARROWS.get(column.direction, '') if column else ''}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Results:
    """All tables of a study, where its runs ran, and what is to be said beneath."""

    sheets: tuple[Sheet, ...]
    environments: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]


def results(store: Store, plan: Plan, paces: Mapping[str, Pace]) -> Results:
    """The tables of what the store holds of a plan, whether all of it is finished or not."""
    found = gather(store, plan, paces)
    asked = plan.study.table
    known = {score.metric for trial in found.trials for score in trial.scores}
    sort = SORTS.get(asked.sort_by or "", asked.sort_by)
    question = Question(
        metrics=tuple(name for name in asked.columns or () if name in known),
        sort=sort if sort in known or sort in SORTS.values() else None,
    )
    tables = tabulate(found.trials, question) if found.trials else []
    sheets = tuple(_sheet(table, plan, found) for table in tables)
    remarks = list(found.remarks)
    for name in asked.columns or ():
        if sheets and all(_is_empty(sheet, name) for sheet in sheets):
            remarks.append(f"no run has '{name}', neither as a score nor as a sampler's diagnostic")
    return Results(sheets=sheets, environments=tuple(found.environments), remarks=tuple(remarks))


def _sheet(table: Table, plan: Plan, found: Gathered) -> Sheet:
    scores = {column.metric: column for column in table.columns}
    asked = plan.study.table.columns
    names = asked or (*scores, "epochs", "s/epoch", "train_s")
    entries = [
        entry
        for entry in plan.entries
        if entry.dataset == table.dataset and entry.spec.dataset_settings == table.settings
    ]
    lines = [_line(row, names, scores, entries, found) for row in table.rows]
    there = {(line.title, line.sampler) for line in lines}
    order = [(e.row.title, s.label) for e in entries for s in e.samplings if not s.refused]
    empty = {name: Value() for name in names}
    lines += [Line(title=t, sampler=s, values=empty) for t, s in order if (t, s) not in there]
    if not plan.study.table.sort_by:
        lines.sort(key=lambda line: order.index((line.title, line.sampler)))
    return Sheet(
        dataset=table.dataset,
        settings=table.settings,
        names=tuple(names),
        scores=scores,
        lines=tuple(lines),
        floors=_floors(table.rows, names),
        remarks=(*table.warnings, *table.notes),
    )


def _line(
    row: Row,
    names: Sequence[str],
    scores: Mapping[str, Column],
    entries: Sequence[Entry],
    found: Gathered,
) -> Line:
    contender = row.contender
    first = next(e for e in entries if e.row.title == contender.title).samplings[0].label
    # A run that was scored without samples has no sampler; it stands where its own would.
    sampler = contender.sampler or first
    values = {
        name: _score(row, name) if name in scores else _fact(name, contender, sampler, first, found)
        for name in names
    }
    runs = tuple(trial.run for trial in contender.trials)
    return Line(title=contender.title, sampler=sampler, values=values, runs=runs)


def _score(row: Row, name: str) -> Value:
    measure = row.contender.scores.get(name)
    return _value(measure, of=len(row.contender.seeds), best=name in row.best)


def _fact(name: str, contender: Contender, sampler: str, first: str, found: Gathered) -> Value:
    """A column that is no metric: see `genbench.study.columns.FACTS`; else a diagnostic."""
    runs = [trial.run for trial in contender.trials]
    of = len(contender.seeds)
    match name:
        case "seeds":
            return Value(text=str(len(contender.seeds)))
        case "epochs":
            return Value(text=" + ".join(str(s.epochs) for s in contender.first.stages))
        case "parameters":
            return Value(text=f"{found.runs[runs[0]].parameters or 0:,}")
        case "s/epoch":
            text = timed(contender.epoch_s.mean, contender.epoch_s.sd)
            return Value(text=text, measure=contender.epoch_s)
        case "train_s":
            return _value(contender.total_s, of=len(contender.timed))
        case "s/sample":
            return _value(
                contender.over_seeds(lambda trial: _per_sample(trial.run, sampler, found)), of=of
            )
        case "cost":
            return _value(
                contender.over_seeds(lambda trial: _cost(trial.run, sampler, first, found)), of=of
            )
        case _:
            return _value(
                contender.over_seeds(lambda trial: _said(trial.run, sampler, name, found)), of=of
            )


def _value(measure: Measure | None, *, of: int, best: bool = False) -> Value:
    if measure is None:
        return Value()
    text = plus_minus(measure.mean, measure.sd)
    count = "" if measure.n == of else f" (n {measure.n})"
    return Value(text=text + count, best=best, measure=measure)


def _per_sample(run: str, sampler: str, found: Gathered) -> float | None:
    draw, n = found.draws.get((run, sampler)), found.samples.get((run, sampler))
    return draw.seconds / n if draw and n else None


def _cost(run: str, sampler: str, first: str, found: Gathered) -> float | None:
    """Seconds of a sample over those of the first sampler."""
    value, base = (_per_sample(run, label, found) for label in (sampler, first))
    return value / base if value is not None and base else None


def _said(run: str, sampler: str, name: str, found: Gathered) -> float | None:
    """A diagnostic of the sampler."""
    draw = found.draws.get((run, sampler))
    return draw.diagnostics.get(name) if draw else None


def _floors(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    floors = {}
    for name in names:
        known = [f for row in rows if (f := row.contender.floors.get(name)) is not None]
        if known:
            floors[name] = math.fsum(known) / len(known)
    return floors


def _is_empty(sheet: Sheet, name: str) -> bool:
    return all(line.values[name].text == NOTHING for line in sheet.lines)
