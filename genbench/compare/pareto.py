"""The Pareto front: the rows that no other row beats in both score and training seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genbench.compare.row import Row
from genbench.compare.run_results import Place
from genbench.compare.table import Column


def undominated(rows: Sequence[Row], column: Column) -> list[int]:
    """The indices of the rows on the front, by ascending seconds.

    A row is off the front if another one is at least as fast and at least as good, and better in
    one of both. Means are compared. Seconds of two machines can't be compared, so each place has
    a front of its own. Rows without a finite score or finite seconds are on none.
    """
    keys = {}
    for i, row in enumerate(rows):
        key = (row.total_s.mean, column.better(row.ranked(column.metric)))
        if all(map(math.isfinite, key)):
            keys[i] = key
    found: list[int] = []
    last: dict[Place, tuple[float, float]] = {}
    for i in sorted(keys, key=keys.__getitem__):
        place, key = rows[i].timed[0].place, keys[i]
        if place not in last or key[1] < last[place][1] or key == last[place]:
            found.append(i)
            last[place] = key
    return found
