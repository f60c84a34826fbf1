"""Which model is better, how certain that is, and what it cost: experiments side by side.

There is one table per data set. A row is an experiment with one sampler, and shows mean ± sd over
seeds. Law: two values share a column only if they were computed under the same protocol; the
others are left out with a warning that names the difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genbench.compare.baseline import rows_named
from genbench.compare.columns import columns_of, with_scores
from genbench.compare.marks import best_of, with_certainty
from genbench.compare.measure import Measure
from genbench.compare.parents import beside_parents
from genbench.compare.pareto import undominated
from genbench.compare.read_results import Reached
from genbench.compare.remarks import notes, protocol_warnings, speed_warnings
from genbench.compare.row import Row
from genbench.compare.row_labels import (
    group_runs,
    one_of_each,
    setting_names,
    settings_by_name,
    short,
)
from genbench.compare.run_results import RunResult, samplers_of
from genbench.compare.selection import Selected, table_of
from genbench.compare.speedup import against, busy, quotient, with_place
from genbench.compare.standings import Standings, TableKey
from genbench.compare.table import OF_SECONDS, SORTS, Column, Question, Table
from genbench.errors import UnknownNameError
from genbench.formatting import counted, number


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
        groups.setdefault(table_of(run), []).append(run)
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
    others = [run for run in selected.others if table_of(run) == key]
    rows = group_runs(runs, question.by, others)
    if question.samplers:
        rows = [r for r in rows if r.sampler.partition(" ")[0] in question.samplers]
    baselines = rows_named(rows, question.baseline, first.dataset) if question.baseline else []
    rows = with_place(rows, baselines)
    standing = selected.standings.get(key)
    columns = columns_of(rows, question, standing.metrics if standing else {})
    scored = [with_scores(row, columns) for row in rows]
    if question.parents:
        scored = [beside_parents(row, columns, question.parents) for row in scored]
    bests = _bests(columns, scored, standing)
    shown = selected.shown.get(key)
    made = with_certainty([_with_speedup(row, baselines) for row in scored], columns, bests)
    made = [row for row in made if shown is None or row.first.experiment in shown]
    if question.target is not None and columns:
        made = [_with_target(row, columns[0], reached) for row in made]
    by_cost = (question.cost or "total") if question.pareto else None
    made = _in_order(made, question.sort or by_cost, columns)
    remarks: list[str] = []
    if question.pareto and columns:
        made, remarks = _on_front(made, columns, standing, question.cost)
    hides = "--pareto" if question.pareto else "--limit"
    remarks += notes(made, columns, bests, selected.partial, hides)
    return Table(
        dataset=first.dataset,
        settings=first.data_settings,
        columns=columns,
        rows=tuple(made),
        warnings=(
            *protocol_warnings(made, columns),
            *speed_warnings(made, baselines, question.baseline, first.dataset),
        ),
        notes=tuple(remarks),
        baseline=baselines[0].title if baselines else None,
        target=question.target,
        devices=tuple(sorted({str(row.timed[0].place) for row in made})),
        bests=bests,
        defaults=question.defaults(first.dataset) if first.data_settings else {},
    )


def _bests(
    columns: Sequence[Column], rows: Sequence[Row], standing: Standings | None
) -> dict[str, Row]:
    """The best of all selected rows in each metric."""
    found = {}
    for column in columns:
        known = standing.metrics.get(column.metric) if standing else None
        best = best_of(column, rows, known.scored if known else 0)
        if best is not None:
            found[column.metric] = best
    return found


# --- seconds


def _with_speedup(row: Row, baselines: Sequence[Row]) -> Row:
    is_baseline = any(row.title == b.title for b in baselines)
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


def _in_order(rows: list[Row], sort: str | None, columns: Sequence[Column]) -> list[Row]:
    """Rows by a metric (that of the first column unless one is named), by SORTS or a setting.

    "-" reverses the order; rows without a value come last in both orders. Seconds are ordered
    within each place only, since those of two places can't be compared.
    """
    name = (sort or "").removeprefix("-")
    by_metric = {column.metric: column for column in columns}
    column = by_metric.get(name) or (None if sort else next(iter(columns), None))
    values = {id(row): _sorted_by(row, name, column) for row in rows}
    unknown = (math.inf, "")
    rows = sorted(rows, key=lambda row: row.title)
    rows.sort(key=lambda row: values[id(row)], reverse=sort is not None and sort[0] == "-")
    if name in OF_SECONDS and column is None:
        places = Counter(row.timed[0].place for row in rows)
        rows.sort(key=lambda row: (-places[row.timed[0].place], row.timed[0].place))
    return sorted(rows, key=lambda row: values[id(row)] == unknown)


def _sorted_by(row: Row, name: str, column: Column | None) -> tuple[float, str]:
    """A sort key of a number and a text, one of them empty; (inf, "") for an unknown value."""
    value: Any = math.inf
    if column is not None:
        value = column.better(row.ranked(column.metric))
    elif name == "model":
        return 0.0, row.title
    elif name == "seeds":
        value = len(row.seeds)
    elif name == "epoch":
        value = row.epoch_s.mean
    elif name == "total":
        value = row.total_s.mean
    elif name == "speedup":
        value = -(row.epoch_speedup or (1.0 if row.is_baseline else math.nan))
    elif name == "target":
        value = row.to_target.mean if row.to_target else math.inf
    else:
        value = settings_by_name(row.first).get(name)
    if isinstance(value, (int, float)):
        return (float(value) if math.isfinite(value) else math.inf), ""
    return math.inf, "" if value is None else short(value)


def _on_front(
    rows: Sequence[Row],
    columns: Sequence[Column],
    standing: Standings | None,
    of_cost: str | None,
) -> tuple[list[Row], list[str]]:
    """The rows of the Pareto front, and a remark about them.

    ``standing`` counts the rows that were left unread since they can't be on it.
    """
    ranking = standing.ranking if standing else columns[0].metric
    column = next((column for column in columns if column.metric == ranking), columns[0])
    cost = next((each for each in columns if each.metric == of_cost), None)
    if of_cost and cost is None:
        return list(rows), [f"no row has the metric {of_cost}, so there is no Pareto front of it"]
    kept = [rows[i] for i in sorted(undominated(rows, column, cost))]
    floors = {row.floors[column.metric] for row in kept if column.metric in row.floors}
    floor = f"; the floor of {column.metric} is {number(min(floors))}" if floors else ""
    among = max(len(rows), len(standing.merits) if standing else 0)
    remark = (
        f"only the Pareto front of {column.metric} and {of_cost or 'total s'} is shown, "
        f"{len(kept)} of {counted(among, 'row')}: every other row is beaten or equalled in both "
        f"by one of these{floor}"
    )
    return kept, [remark]


def _check_names(runs: Sequence[RunResult], question: Question) -> None:
    """Raise UnknownNameError for a metric, a sort key or a sampler that no run has."""
    metrics = {score.metric for run in runs for score in run.scores}
    for metric in (*question.metrics, *((question.cost,) if question.cost else ())):
        if metric not in metrics:
            raise UnknownNameError("metric", metric, metrics)
    sort = (question.sort or "").removeprefix("-")
    if sort and sort not in metrics and sort not in SORTS:
        known = {key for run in one_of_each(runs) for key in settings_by_name(run)}
        if sort not in known:
            raise UnknownNameError("sort", sort, [*metrics, *SORTS, *setting_names(runs)])
    samplers = {name.partition(" ")[0] for run in runs for name in samplers_of(run)}
    for sampler in question.samplers:
        if sampler not in samplers:
            raise UnknownNameError("sampler", sampler, samplers)
