"""Which model is better, how sure that is, and what it cost: experiments side by side.

One table for each data set. Its rows are experiments (one for each sampler that scored them) with
mean ± sd over their seeds. Law: two values stand in one column only where they were taken under
the same protocol; the others are left out with a warning that names the difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from genbench.compare.experiments import (
    Contender,
    Measure,
    Scored,
    Trial,
    contenders,
    samplers_of,
    scores_of,
)
from genbench.compare.remarks import notes, protocol_warnings, speed_warnings
from genbench.compare.rows import SORTS, Column, Question, Row, Table
from genbench.compare.speedup import baseline_for, is_named, quotient
from genbench.errors import UnknownNameError


def tabulate(
    trials: Sequence[Trial], question: Question, reached: Mapping[str, float | None] | None = None
) -> list[Table]:
    """One table for each data set (with its settings), by name.

    ``reached`` maps "run metric sampler" to the seconds until the target. Raises UnknownNameError
    for a metric, a sort or a sampler that no trial knows.
    """
    _check_metrics(trials, question)
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        settings = repr(sorted(trial.data_settings.items()))
        groups.setdefault((trial.dataset, settings), []).append(trial)
    return [_table(group, question, reached or {}) for _, group in sorted(groups.items())]


def _table(
    trials: Sequence[Trial], question: Question, reached: Mapping[str, float | None]
) -> Table:
    rows = contenders(trials)
    if question.samplers:
        rows = [r for r in rows if r.sampler.partition(" ")[0] in question.samplers]
    columns = _columns(rows, question.metrics)
    scored = [_with_scores(row, columns) for row in rows]
    named = [r for r in scored if question.baseline and is_named(r, question.baseline)]
    # A model's name means its runs on the data themselves, where there are any.
    baselines = [r for r in named if not r.first.lenders] or named
    made = [_row(contender, columns, scored, baselines) for contender in scored]
    if question.target is not None and columns:
        made = [_with_target(row, columns[0].metric, reached) for row in made]
    made.sort(key=_sort_key(question.sort, columns))
    return Table(
        dataset=trials[0].dataset,
        settings=trials[0].data_settings,
        columns=columns,
        rows=tuple(made),
        warnings=(*protocol_warnings(rows, columns), *speed_warnings(made, baselines)),
        notes=tuple(notes(made, columns)),
        baseline=baselines[0].title if baselines else None,
        target=question.target,
        devices=tuple(sorted({t.conditions[2] + _machine(t) for t in trials})),
    )


def _machine(trial: Trial) -> str:
    return f" ({trial.machine})" if trial.machine else ""


# --- scores: one protocol a column ------------------------------------------------------------


def _columns(rows: Sequence[Contender], asked: Sequence[str]) -> tuple[Column, ...]:
    """The metrics, those that most rows have first, each under the protocol that most rows have.

    One that a model on the data themselves was scored by goes before one of latents alone: nats of
    codes must not stand for nats of pixels.
    """
    rows_with: Counter[str] = Counter()
    by_metric: dict[str, dict[str, list[_Found]]] = {}
    for row in rows:
        seen = {
            (score.metric, score.protocol_hash): _Found(trial, score)
            for trial in row.trials
            for score in scores_of(trial, row)
        }
        rows_with.update({metric for metric, _ in seen})
        for (metric, protocol), found in seen.items():
            by_metric.setdefault(metric, {}).setdefault(protocol, []).append(found)
    order = list(asked) or sorted(by_metric, key=lambda m: (-rows_with[m], m))
    columns = []
    for metric in order:
        if metric in by_metric:
            taken = max(by_metric[metric].values(), key=_weight)
            score = max(taken, key=lambda found: found.trial.created_at).score
            columns.append(
                Column(
                    metric=metric,
                    direction=score.direction,
                    unit=score.unit,
                    protocol_hash=score.protocol_hash,
                    protocol=score.protocol,
                    n=score.n,
                )
            )
    return tuple(columns)


class _Found(NamedTuple):
    """A score and the run that it is of."""

    trial: Trial
    score: Scored


def _weight(found: Sequence[_Found]) -> tuple[bool, int, str]:
    """A protocol that more rows have wins; among equals, that of the newest run."""
    on_data = any(not one.trial.lenders for one in found)
    return on_data, len(found), max(one.trial.created_at for one in found)


def _with_scores(row: Contender, columns: Sequence[Column]) -> Contender:
    scores, floors = {}, {}
    for column in columns:
        taken = [
            score
            for trial in row.trials
            for score in scores_of(trial, row)
            if (score.metric, score.protocol_hash) == (column.metric, column.protocol_hash)
        ]
        if taken:
            values = (math.nan if s.value is None else s.value for s in taken)
            scores[column.metric] = Measure(values=tuple(values))
            known = [s.floor for s in taken if s.floor is not None]
            if known:
                floors[column.metric] = math.fsum(known) / len(known)
    return replace(row, scores=scores, floors=floors)


def _row(
    contender: Contender,
    columns: Sequence[Column],
    rows: Sequence[Contender],
    baselines: Sequence[Contender],
) -> Row:
    best = frozenset(c.metric for c in columns if _is_best(contender, c, rows))
    is_baseline = any(contender is b for b in baselines)
    baseline = None if is_baseline else baseline_for(contender, baselines)
    if baseline is None:
        return Row(contender=contender, best=best, is_baseline=is_baseline)
    return Row(
        contender=contender,
        best=best,
        epoch_speedup=quotient(baseline.epoch_s, contender.epoch_s),
        total_speedup=quotient(baseline.total_s, contender.total_s),
    )


def _is_best(row: Contender, column: Column, rows: Sequence[Contender]) -> bool:
    if column.metric not in row.scores or not math.isfinite(row.scores[column.metric].mean):
        return False
    if column.direction == "floor":
        return False  # what is near its floor is good: a column has no one extreme to mark
    values = [r.scores[column.metric].mean for r in rows if column.metric in r.scores]
    own = column.better(row.scores[column.metric].mean)
    return len(values) > 1 and own <= min(map(column.better, values))


def _with_target(row: Row, metric: str, reached: Mapping[str, float | None]) -> Row:
    sampler = row.contender.sampler
    keys = [f"{trial.run} {metric} {sampler}" for trial in row.contender.trials]
    seconds = [s for key in keys if (s := reached.get(key)) is not None]
    measure = Measure(values=tuple(seconds)) if seconds else None
    return replace(row, to_target=measure, reached=len(seconds))


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
            value = column.better(contender.scores[column.metric].mean)
        return (value if math.isfinite(value) else math.inf), contender.title

    return key


def _check_metrics(trials: Sequence[Trial], question: Question) -> None:
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
