"""Which model is better, how certain that is, and what it cost: experiments side by side.

There is one table per data set. A row is an experiment with one sampler, and shows mean ± sd over
seeds. Law: two values share a column only if they were computed under the same protocol; the
others are left out with a warning that names the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genbench.compare.baseline import rows_named
from genbench.compare.columns import columns_of, with_scores
from genbench.compare.marks import best_of, with_certainty
from genbench.compare.measure import Measure
from genbench.compare.read_results import Reached
from genbench.compare.remarks import notes, protocol_warnings, speed_warnings
from genbench.compare.row import Row
from genbench.compare.row_labels import group_runs
from genbench.compare.run_results import RunResult, samplers_of
from genbench.compare.selection import Selected, settings_text
from genbench.compare.speedup import against, busy, quotient, with_place
from genbench.compare.standings import TableKey
from genbench.compare.table import SORTS, Column, Question, Table
from genbench.errors import UnknownNameError


def tabulate(
    selected: Selected | Sequence[RunResult], question: Question, reached: Reached | None = None
) -> list[Table]:
    """One table per data set and its settings, sorted by name.

    Raises UnknownNameError for a metric, a sort key or a sampler that no run has, and UsageError
    for a baseline that names several experiments.
    """
    if not isinstance(selected, Selected):
        selected = Selected(runs=tuple(selected), left_out={}, hidden={})
    _check_names(selected.runs, question)
    groups: dict[TableKey, list[RunResult]] = {}
    for run in selected.runs:
        key = (run.dataset, settings_text(run.data_settings))
        groups.setdefault(key, []).append(run)
    return [
        _table(group, question, reached or {}, selected, key)
        for key, group in sorted(groups.items())
    ]


def _table(
    runs: Sequence[RunResult],
    question: Question,
    reached: Reached,
    selected: Selected,
    key: TableKey,
) -> Table:
    first = runs[0]
    rows = group_runs(runs)
    if question.samplers:
        rows = [r for r in rows if r.sampler.partition(" ")[0] in question.samplers]
    baselines = rows_named(rows, question.baseline, first.dataset) if question.baseline else []
    rows = with_place(rows, baselines)
    standing = selected.standings.get(key)
    columns = columns_of(rows, question, standing.metrics if standing else {})
    scored = [with_scores(row, columns) for row in rows]
    bests = {c.metric: best for c in columns if (best := best_of(c, scored)) is not None}
    shown = selected.shown.get(key)
    made = with_certainty([_with_speedup(row, baselines) for row in scored], columns, bests)
    made = [row for row in made if shown is None or row.first.experiment in shown]
    if question.target is not None and columns:
        made = [_with_target(row, columns[0], reached) for row in made]
    made.sort(key=_sort_key(question.sort, columns))
    return Table(
        dataset=first.dataset,
        settings=first.data_settings,
        columns=columns,
        rows=tuple(made),
        warnings=(
            *protocol_warnings(made, columns),
            *speed_warnings(made, baselines, question.baseline, first.dataset),
        ),
        notes=tuple(notes(made, columns, bests, selected.partial)),
        baseline=baselines[0].title if baselines else None,
        target=question.target,
        devices=tuple(sorted({str(row.timed[0].place) for row in made})),
        bests=bests,
        defaults=question.defaults(first.dataset) if first.data_settings else {},
    )


# --- seconds


def _with_speedup(row: Row, baselines: Sequence[Row]) -> Row:
    is_baseline = any(row.first.variant == b.first.variant for b in baselines)
    row = replace(row, is_baseline=is_baseline, busy=busy(row))
    baseline = against(row, baselines[0]) if baselines and not is_baseline else None
    if baseline is None:
        return row
    epoch, epoch_sd = quotient(baseline.epoch_s, row.epoch_s)
    total, total_sd = quotient(baseline.total_s, row.total_s)
    if baseline.parents_elsewhere or row.parents_elsewhere:
        total = total_sd = None
    why = busy(baseline)
    return replace(
        row,
        epoch_speedup=epoch,
        epoch_speedup_sd=epoch_sd,
        total_speedup=total,
        total_speedup_sd=total_sd,
        busy=row.busy or (f"the baseline's {why}" if why else None),
    )


def _with_target(row: Row, column: Column, reached: Reached) -> Row:
    """Seconds until the target, for the timed runs; scores of the model have no sampler."""
    found = [
        seconds
        for run in row.timed
        for sampler in dict.fromkeys((row.sampler, ""))
        if (seconds := reached.get((run.id, column.metric, sampler, column.protocol_hash)))
    ]
    if not found:
        return row
    gaps = [at - before for before, at in found]
    return replace(
        row,
        to_target=Measure(values=tuple(at for _, at in found)),
        target_gap_s=math.fsum(gaps) / len(gaps),
        reached=len(found),
    )


# --- order and names


def _sort_key(sort: str | None, columns: Sequence[Column]) -> Any:
    """Sort rows by a metric (that of the first column unless one is named) or as SORTS says."""
    by_metric = {column.metric: column for column in columns}
    column = by_metric.get(sort or "") or (columns[0] if columns else None)

    def key(row: Row) -> tuple[float, str]:
        value = math.inf
        if sort == "epoch":
            value = row.epoch_s.mean
        elif sort == "total":
            value = row.total_s.mean
        elif sort == "speedup":
            value = -(row.epoch_speedup or (1.0 if row.is_baseline else 0.0))
        elif sort == "target":
            value = row.to_target.mean if row.to_target else math.inf
        elif sort != "model" and column and column.metric in row.scores:
            value = column.better(row.ranked(column.metric))
        return (value if math.isfinite(value) else math.inf), row.title

    return key


def _check_names(runs: Sequence[RunResult], question: Question) -> None:
    """Raise UnknownNameError for a metric, a sort key or a sampler that no run has."""
    metrics = {score.metric for run in runs for score in run.scores}
    for metric in question.metrics:
        if metric not in metrics:
            raise UnknownNameError("metric", metric, metrics)
    if question.sort and question.sort not in metrics and question.sort not in SORTS:
        raise UnknownNameError("sort", question.sort, [*metrics, *SORTS])
    samplers = {name.partition(" ")[0] for run in runs for name in samplers_of(run)}
    for sampler in question.samplers:
        if sampler not in samplers:
            raise UnknownNameError("sampler", sampler, samplers)
