"""The best row of each column, and the difference of every other row to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from genbench.compare.certainty import Difference, against_best, is_tested
from genbench.compare.measure import Measure
from genbench.compare.row import Row
from genbench.compare.table import Column


def best_of(column: Column, rows: Sequence[Row], scored: int = 0) -> Row | None:
    """The best row of a column; None with fewer than two rows or without a finite score.

    ``scored``: the number of rows with this metric, if a limit hides some of them.
    """
    having = [row for row in rows if column.metric in row.scores]
    best = min(having, key=lambda row: column.better(row.ranked(column.metric)), default=None)
    if best is None or max(len(having), scored) < 2:
        return None
    return best if math.isfinite(column.better(best.ranked(column.metric))) else None


def with_certainty(
    made: Sequence[Row], columns: Sequence[Column], bests: Mapping[str, Row]
) -> list[Row]:
    """The rows with the best of each column marked, and the difference of the others to it."""
    marks: dict[int, set[str]] = {i: set() for i in range(len(made))}
    differences: dict[int, dict[str, Difference]] = {i: {} for i in range(len(made))}
    for column in columns:
        best = bests.get(column.metric)
        if best is None:
            continue
        least = best.ranked(column.metric)
        assert least is not None
        others: dict[int, Measure] = {}
        for i, row in enumerate(made):
            own = row.ranked(column.metric)
            if own is None:
                continue
            if column.better(own) <= column.better(least):
                marks[i].add(column.metric)
            if not _is_same(row, best, column.metric):
                others[i] = own
        family = max(column.rows, _tested(made, column.metric))
        for i, difference in against_best(least, others, family).items():
            differences[i][column.metric] = difference
    return [
        replace(row, best=frozenset(marks[i]), differences=differences[i])
        for i, row in enumerate(made)
    ]


def _is_same(row: Row, best: Row, metric: str) -> bool:
    """Whether two rows show the same score: that of a model is in its rows of all samplers."""
    if row.first.variant != best.first.variant:
        return False
    return row.sampler == best.sampler or metric in best.of_model


def _tested(made: Sequence[Row], metric: str) -> int:
    """The number of rows between which an order could be claimed; each score counts once."""
    rows = {
        (row.first.variant, "" if metric in row.of_model else row.sampler)
        for row in made
        if (measure := row.ranked(metric)) is not None and is_tested(measure)
    }
    return len(rows)
