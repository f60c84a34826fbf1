"""Small plots of text: a curve as a grid of braille characters, each of 2 x 4 dots."""

from __future__ import annotations

import math
from collections.abc import Sequence

LOG_RATIO = 12.0
"""The ratio of the largest to the smallest value from which on a plot is logarithmic."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a braille character: columns from the left, rows from the top."""
_BLANK = 0x2800

Points = Sequence[tuple[float, float | None]]


def plot(points: Points, width: int, height: int) -> list[str]:
    """A curve as lines of ``width`` characters, the topmost first; a gap is where y is None.

    >>> plot([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)], 2, 1)
    ['⡠⠊']
    """
    heights = _heights(points, 2 * width, 4 * height)
    cells = [[_BLANK] * width for _ in range(height)]
    before: int | None = None
    for x, y in enumerate(heights):
        if y is not None:
            for row in _between(before, y):
                cells[row // 4][x // 2] |= _DOTS[x % 2][row % 4]
        before = y
    return ["".join(map(chr, line)) for line in cells]


def _between(before: int | None, now: int) -> range:
    """The rows of a column: the value's own, and those that join it with the one before."""
    if before is None or abs(now - before) <= 1:
        return range(now, now + 1)
    return range(before + 1, now + 1) if before < now else range(now, before)


def _heights(points: Points, columns: int, rows: int) -> list[int | None]:
    """The row of the curve in each column, 0 at the top; None where there is no value."""
    values = _resampled(points, columns)
    known = [value for value in values if value is not None]
    if not known:
        return [None] * columns
    low, high = min(known), max(known)
    if low > 0 and high / low > LOG_RATIO:
        values = [None if value is None else math.log10(value) for value in values]
        low, high = math.log10(low), math.log10(high)
    spread = high - low or 1.0
    return [
        None if value is None else round((high - value) / spread * (rows - 1)) for value in values
    ]


def _resampled(points: Points, columns: int) -> list[float | None]:
    """The value at the middle of each column, on the straight line between two points."""
    finite = [(x, y) for x, y in points if y is not None and math.isfinite(y)]
    if not finite:
        return [None] * columns
    start, end = finite[0][0], finite[-1][0]
    values: list[float | None] = []
    at = 0
    for column in range(columns):
        x = start + (end - start) * column / max(1, columns - 1)
        while at + 2 < len(finite) and finite[at + 1][0] < x:
            at += 1
        (x0, y0), (x1, y1) = finite[at], finite[min(at + 1, len(finite) - 1)]
        share = min(1.0, max(0.0, (x - x0) / (x1 - x0))) if x1 > x0 else 0.0
        values.append(y0 + (y1 - y0) * share)
    return values
