"""Which model is better, how sure that is, and what it cost: experiments side by side.

One table for each data set. Its rows are experiments (one for each sampler that scored them) with
mean ± sd over their seeds. Law: two values stand in one column only where they were taken under
the same protocol; the others are left out with a warning that names the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genbench.compare.baseline import meant
from genbench.compare.columns import columns_of, with_scores
from genbench.compare.experiments import Contender, Trial, samplers_of
from genbench.compare.labels import contenders
from genbench.compare.marks import best_of, with_certainty
from genbench.compare.measure import Measure
from genbench.compare.remarks import notes, protocol_warnings, speed_warnings
from genbench.compare.rows import SORTS, Column, Question, Row, Table
from genbench.compare.selection import Selected, settings_text
from genbench.compare.speedup import against, busy, placed, quotient
from genbench.compare.standings import TableKey
from genbench.compare.trials import Reached
from genbench.errors import UnknownNameError


def tabulate(
    selected: Selected | Sequence[Trial], question: Question, reached: Reached | None = None
) -> list[Table]:
    """One table for each data set (with its settings), by name.

    Raises UnknownNameError for a metric, a sort or a sampler that no trial knows, and UsageError
    for a baseline that fits several rows.
    """
    if not isinstance(selected, Selected):
        selected = Selected(trials=tuple(selected), left_out={}, hidden={})
    _check_names(selected.trials, question)
    groups: dict[TableKey, list[Trial]] = {}
    for trial in selected.trials:
        key = (trial.dataset, settings_text(trial.data_settings))
        groups.setdefault(key, []).append(trial)
    return [
        _table(group, question, reached or {}, selected, key)
        for key, group in sorted(groups.items())
    ]


def _table(
    trials: Sequence[Trial], question: Question, reached: Reached, selected: Selected, key: TableKey
) -> Table:
    first = trials[0]
    rows = contenders(trials)
    if question.samplers:
        rows = [r for r in rows if r.sampler.partition(" ")[0] in question.samplers]
    baselines = meant(rows, question.baseline, first.dataset) if question.baseline else []
    rows = placed(rows, baselines)
    standing = selected.standings.get(key)
    columns = columns_of(rows, question, standing.metrics if standing else {})
    scored = [with_scores(row, columns) for row in rows]
    bests = {c.metric: best for c in columns if (best := best_of(c, scored)) is not None}
    made = [_row(row, baselines) for row in scored]
    shown = selected.shown.get(key)
    made = with_certainty(made, columns, bests)
    made = [r for r in made if shown is None or r.contender.first.experiment in shown]
    if question.target is not None and columns:
        made = [_with_target(row, columns[0], reached) for row in made]
    made.sort(key=_sort_key(question.sort, columns))
    return Table(
        dataset=first.dataset,
        settings=first.data_settings,
        columns=columns,
        rows=tuple(made),
        warnings=(
            *protocol_warnings([r.contender for r in made], columns),
            *speed_warnings(made, baselines, question.baseline, first.dataset),
        ),
        notes=tuple(notes(made, columns, bests)),
        baseline=baselines[0].title if baselines else None,
        target=question.target,
        devices=tuple(sorted({str(row.contender.timed[0].place) for row in made})),
        bests=bests,
        defaults=question.defaults(first.dataset) if first.data_settings else {},
    )


# --- seconds


def _row(row: Contender, baselines: Sequence[Contender]) -> Row:
    is_baseline = any(row.first.variant == b.first.variant for b in baselines)
    found = Row(contender=row, is_baseline=is_baseline, busy=busy(row))
    if baselines and not is_baseline and (baseline := against(row, baselines[0])) is not None:
        epoch, epoch_sd = quotient(baseline.epoch_s, row.epoch_s)
        total, total_sd = quotient(baseline.total_s, row.total_s)
        if baseline.parents_elsewhere or row.parents_elsewhere:
            total = total_sd = None
        found = replace(
            found,
            epoch_speedup=epoch,
            epoch_speedup_sd=epoch_sd,
            total_speedup=total,
            total_speedup_sd=total_sd,
            busy=found.busy or _of_baseline(baseline),
        )
    return found


def _of_baseline(baseline: Contender) -> str | None:
    why = busy(baseline)
    return f"the baseline's {why}" if why else None


def _with_target(row: Row, column: Column, reached: Reached) -> Row:
    """Seconds until the target, of the runs of one place; scores of the model have no sampler."""
    contender = row.contender
    found = [
        seconds
        for trial in contender.timed
        for sampler in dict.fromkeys((contender.sampler, ""))
        if (seconds := reached.get((trial.run, column.metric, sampler, column.protocol_hash)))
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


# --- order and remarks --------------------------------------------------------------------------


def _sort_key(sort: str | None, columns: Sequence[Column]) -> Any:
    """Rows by a metric (the first column's if none is named) or by what SORTS lists."""
    by_metric = {column.metric: column for column in columns}
    column = by_metric.get(sort or "") or (columns[0] if columns else None)

    def key(row: Row) -> tuple[float, str]:
        contender = row.contender
        value = math.inf
        if sort == "epoch":
            value = contender.epoch_s.mean
        elif sort == "total":
            value = contender.total_s.mean
        elif sort == "speedup":
            value = -(row.epoch_speedup or (1.0 if row.is_baseline else 0.0))
        elif sort == "target":
            value = row.to_target.mean if row.to_target else math.inf
        elif sort != "model" and column and column.metric in contender.scores:
            value = column.better(contender.ranked(column.metric))
        return (value if math.isfinite(value) else math.inf), contender.title

    return key


def _check_names(trials: Sequence[Trial], question: Question) -> None:
    """Raise UnknownNameError for a metric or a sort that no trial knows."""
    metrics = {score.metric for trial in trials for score in trial.scores}
    for metric in question.metrics:
        if metric not in metrics:
            raise UnknownNameError("metric", metric, metrics)
    if question.sort and question.sort not in metrics and question.sort not in SORTS:
        raise UnknownNameError("sort", question.sort, [*metrics, *SORTS])
    samplers = {name.partition(" ")[0] for trial in trials for name in samplers_of(trial)}
    for sampler in question.samplers:
        if sampler not in samplers:
            raise UnknownNameError("sampler", sampler, samplers)
