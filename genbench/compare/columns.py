"""The columns of a table, with one protocol each, and the scores of each row under it.

Law: two values share a column only if they were computed under the same protocol.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from genbench.compare.measure import Measure
from genbench.compare.row import Row
from genbench.compare.run_results import RunResult, Scored, scores_of
from genbench.compare.standings import Standing
from genbench.compare.table import Column, Question
from genbench.contracts import COST_UNITS


def columns_of(
    rows: Sequence[Row], question: Question, standing: Mapping[str, Standing]
) -> tuple[Column, ...]:
    """The metrics, each under the protocol that most rows have; metrics of most rows come first.

    What samples cost comes after all qualities.

    A protocol with a model trained on the data itself takes precedence over one with models of
    latents only: nats of codes must not be shown as nats of pixels. ``standing`` includes rows that
    a limit hides.
    """
    rows_with: Counter[str] = Counter()
    by_metric: dict[str, dict[str, list[_Found]]] = {}
    for row in rows:
        seen = {
            (score.metric, score.protocol_hash): _Found(run, score)
            for run in row.runs
            for score in scores_of(run, row.sampler)
        }
        rows_with.update({metric for metric, _ in seen})
        for (metric, protocol), found in seen.items():
            by_metric.setdefault(metric, {}).setdefault(protocol, []).append(found)
    costs = {metric for metric, found in by_metric.items() if _is_cost(found)}
    order = list(question.metrics) or sorted(
        by_metric, key=lambda m: (m in costs, -rows_with[m], m)
    )
    columns: list[Column] = []
    for metric in order:
        if metric not in by_metric:
            continue
        known = standing.get(metric)
        protocols = by_metric[metric]
        scored = protocols.get(known.protocol_hash, []) if known else []
        scored = scored or max(protocols.values(), key=_weight)
        score = max(scored, key=lambda found: found.run.created_at).score
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
                shown=wanted or not columns or 2 * len(scored) > len(rows),
            )
        )
    return tuple(columns)


def _is_cost(protocols: Mapping[str, Sequence[_Found]]) -> bool:
    return any(each.score.unit in COST_UNITS for found in protocols.values() for each in found)


class _Found(NamedTuple):
    """A score and its run."""

    run: RunResult
    score: Scored


def _weight(found: Sequence[_Found]) -> tuple[bool, int, str]:
    """The protocol that more rows have wins; a tie goes to the protocol of the newest run."""
    on_data = any(not one.run.sources for one in found)
    return on_data, len(found), max(one.run.created_at for one in found)


def with_scores(row: Row, columns: Sequence[Column]) -> Row:
    """The row with its scores under each column's protocol, one value per seed."""
    scores, floors, distances = {}, {}, {}
    of_model = set()
    for column in columns:
        found = {
            run.id: score
            for run in row.runs
            for score in scores_of(run, row.sampler)
            if (score.metric, score.protocol_hash) == (column.metric, column.protocol_hash)
        }
        values = row.over_seeds(_getter(found, _value))
        if values is None:
            continue
        scores[column.metric] = values
        known = [score.floor for score in found.values() if score.floor is not None]
        if known:
            floors[column.metric] = math.fsum(known) / len(known)
        if column.direction == "floor":
            away = row.over_seeds(_getter(found, _distance))
            distances[column.metric] = away or Measure(values=(math.nan,))
        if not any(score.sampler for score in found.values()):
            of_model.add(column.metric)
    return replace(
        row, scores=scores, floors=floors, distances=distances, of_model=frozenset(of_model)
    )


def _getter(
    found: Mapping[str, Scored], value: Callable[[Scored], float]
) -> Callable[[RunResult], float | None]:
    return lambda run: value(found[run.id]) if run.id in found else None


def _value(score: Scored) -> float:
    return math.nan if score.value is None else score.value


def _distance(score: Scored) -> float:
    return math.nan if score.floor is None else abs(_value(score) - score.floor)
