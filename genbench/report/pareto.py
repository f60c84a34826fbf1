"""Score against training seconds: which rows no other row beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from genbench.compare import Column, Row, Table, undominated
from genbench.report.charts import Dot
from genbench.report.curves import row_names


@dataclass(frozen=True, kw_only=True)
class Front:
    """The rows of a table in one metric. ``best`` are those on the front, the fastest first.

    Seconds are total training seconds; ``elsewhere`` are rows that trained on another machine than
    most, and have no dot.
    """

    column: Column
    dots: tuple[Dot, ...]
    best: tuple[Dot, ...]
    floor: float | None
    elsewhere: tuple[str, ...]


def fronts(table: Table, colours: Mapping[str, int]) -> list[Front]:
    """A front for each metric that the table shows."""
    names = row_names(table)
    places = [row.timed[0].place for row in table.rows]
    place = max(places, key=places.count) if places else None
    made = []
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


def _dot(row: Row, column: Column, name: str, colour: int, index: int) -> Dot:
    score, seconds = row.scores[column.metric], row.total_s
    return Dot(
        label=name,
        x=seconds.mean,
        y=score.mean,
        x_sd=seconds.sd,
        y_sd=score.sd,
        colour=colour,
        seeds=score.n,
        rows=[index],
    )
