"""Score against training seconds, bytes or speed: which rows no other row beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genbench.compare import Column, Measure, Row, Table, undominated
from genbench.compare.parents import COSTS
from genbench.report.charts import Dot
from genbench.report.curves import row_names


@dataclass(frozen=True, kw_only=True)
class Front:
    """The rows of a table in one metric. ``best`` are those on the front, the fastest first.

    The cost is the total training seconds, or ``cost``, the score that costs something. With
    seconds, ``elsewhere`` are rows that trained on another machine than most, and have no dot.
    """

    column: Column
    cost: Column | None = None
    dots: tuple[Dot, ...]
    best: tuple[Dot, ...]
    floor: float | None
    elsewhere: tuple[str, ...]


def fronts(table: Table, colours: Mapping[str, int]) -> list[Front]:
    """A front for each metric that the table shows, and for the costs of a sample that it has."""
    names = row_names(table)
    costs = [column for column in table.columns if column.metric in COSTS]
    places = [row.timed[0].place for row in table.rows]
    place = max(places, key=places.count) if places else None
    made = []
    for cost in costs:
        front = _by_cost(table, table.columns[0], cost, names, colours)
        if front is not None:
            made.append(front)
    for column in table.shown:
        found = [
            (row, _dot(row, column, names[i], colours[row.title], i))
            for i, row in enumerate(table.rows)
            if column.metric in row.scores and places[i] == place
        ]
        dots = [(r, d) for r, d in found if math.isfinite(d.y) and math.isfinite(d.x)]
        floors = [row.floors[column.metric] for row, _ in dots if column.metric in row.floors]
        if dots:
            made.append(
                Front(
                    column=column,
                    dots=tuple(dot for _, dot in dots),
                    best=tuple(dots[i][1] for i in undominated([r for r, _ in dots], column)),
                    floor=math.fsum(floors) / len(floors) if floors else None,
                    elsewhere=tuple(n for n, p in zip(names, places, strict=True) if p != place),
                )
            )
    return made


def _by_cost(
    table: Table,
    column: Column,
    cost: Column,
    names: Sequence[str],
    colours: Mapping[str, int],
) -> Front | None:
    """A score against another one; None if fewer than two rows have both."""
    found = [
        (row, _dot(row, column, names[i], colours[row.title], i, row.scores[cost.metric]))
        for i, row in enumerate(table.rows)
        if column is not cost and {column.metric, cost.metric} <= {*row.scores}
    ]
    dots = [(row, dot) for row, dot in found if math.isfinite(dot.x) and math.isfinite(dot.y)]
    if len(dots) < 2:
        return None
    floors = [row.floors[column.metric] for row, _ in dots if column.metric in row.floors]
    return Front(
        column=column,
        cost=cost,
        dots=tuple(dot for _, dot in dots),
        best=tuple(dots[i][1] for i in undominated([row for row, _ in dots], column, cost)),
        floor=math.fsum(floors) / len(floors) if floors else None,
        elsewhere=(),
    )


def _dot(
    row: Row, column: Column, name: str, colour: int, index: int, cost: Measure | None = None
) -> Dot:
    score, spent = row.scores[column.metric], cost or row.total_s
    return Dot(
        label=name,
        x=spent.mean,
        y=score.mean,
        x_sd=spent.sd,
        y_sd=score.sd,
        colour=colour,
        seeds=score.n,
        rows=[index],
    )
