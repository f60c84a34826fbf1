"""The columns of a table: one protocol each, and each row's scores under it.

Law: two values stand in one column only where they were taken under the same protocol.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from genbench.compare.experiments import Contender, Scored, Trial, scores_of
from genbench.compare.measure import Measure
from genbench.compare.rows import Column, Question
from genbench.compare.standings import Standing


def columns_of(
    rows: Sequence[Contender], question: Question, standing: Mapping[str, Standing]
) -> tuple[Column, ...]:
    """The metrics, those that most rows have first, each under the protocol that most rows have.

    One that a model on the data themselves was scored by goes before one of latents alone: nats of
    codes must not stand for nats of pixels. ``standing`` knows of rows beyond a limit.
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
    order = list(question.metrics) or sorted(by_metric, key=lambda m: (-rows_with[m], m))
    columns: list[Column] = []
    for metric in order:
        if metric not in by_metric:
            continue
        known = standing.get(metric)
        protocols = by_metric[metric]
        taken = protocols.get(known.protocol_hash, []) if known else []
        taken = taken or max(protocols.values(), key=_weight)
        score = max(taken, key=lambda found: found.trial.created_at).score
        wanted = bool(question.metrics) or question.all_metrics or metric == question.sort
        columns.append(
            Column(
                metric=metric,
                direction=score.direction,
                unit=score.unit,
                protocol_hash=score.protocol_hash,
                protocol=score.protocol,
                n=score.n,
                rows=known.rows if known else 0,
                shown=wanted or not columns or 2 * len(taken) > len(rows),
            )
        )
    return tuple(columns)


class _Found(NamedTuple):
    """A score and the run that it is of."""

    trial: Trial
    score: Scored


def _weight(found: Sequence[_Found]) -> tuple[bool, int, str]:
    """A protocol that more rows have wins; among equals, that of the newest run."""
    on_data = any(not one.trial.sources for one in found)
    return on_data, len(found), max(one.trial.created_at for one in found)


def with_scores(row: Contender, columns: Sequence[Column]) -> Contender:
    """The row with its scores under each column's protocol: one value for each seed."""
    scores, floors, distances = {}, {}, {}
    of_model = set()
    for column in columns:
        taken = {
            trial.run: score
            for trial in row.trials
            for score in scores_of(trial, row)
            if (score.metric, score.protocol_hash) == (column.metric, column.protocol_hash)
        }
        values = row.over_seeds(_taker(taken, _value))
        if values is None:
            continue
        scores[column.metric] = values
        known = [s.floor for s in taken.values() if s.floor is not None]
        if known:
            floors[column.metric] = math.fsum(known) / len(known)
        if column.direction == "floor":
            away = row.over_seeds(_taker(taken, _distance))
            distances[column.metric] = away or Measure(values=(math.nan,))
        if not any(score.sampler for score in taken.values()):
            of_model.add(column.metric)
    return replace(
        row, scores=scores, floors=floors, distances=distances, of_model=frozenset(of_model)
    )


def _taker(
    taken: Mapping[str, Scored], figure: Callable[[Scored], float]
) -> Callable[[Trial], float | None]:
    return lambda trial: figure(taken[trial.run]) if trial.run in taken else None


def _value(score: Scored) -> float:
    return math.nan if score.value is None else score.value


def _distance(score: Scored) -> float:
    return math.nan if score.floor is None else abs(_value(score) - score.floor)
