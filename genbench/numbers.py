"""Numbers as people read them: as many digits as they can use, spread beside the mean."""

from __future__ import annotations

import math

ARROWS = {"min": "↓", "max": "↑"}
"""Which way is better, beside a metric's name."""


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, without an exponent where it can be read.

    >>> [number(v) for v in (33.14159, 12345.678, 0.00012345, 5.0, float("nan"), None)]
    ['33.14', '12346', '0.0001234', '5', 'nan', '']
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(float(value))
    if value == 0 or (value == int(value) and abs(value) < 1e15):
        return str(int(value))
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 <= magnitude < 15:
        return f"{value:.{digits - 1}g}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def measured(value: float | None, std: float | None, draws: int = 1) -> str:
    """A score as a person reads it: '33.14', or '33.14 ± 0.5 (5 draws)'.

    >>> [measured(33.14159, None), measured(33.14159, 0.5, 5), measured(2.0, 0.25)]
    ['33.14', '33.14 ± 0.5 (5 draws)', '2 ± 0.25']
    """
    spread = f" ± {number(std, 2)}" if std is not None else ""
    return f"{number(value)}{spread}" + (f" ({draws} draws)" if draws > 1 else "")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: '0.42 s', '54.2 s', '12 min 5 s', '3 h 20 min'.

    >>> [duration(s) for s in (0.4213, 54.21, 725.0, 12000.0)]
    ['0.421 s', '54.2 s', '12 min 5 s', '3 h 20 min']
    """
    if seconds is None:
        return ""
    if seconds < 99.95:
        return f"{number(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def plus_minus(mean: float, sd: float | None) -> str:
    """A mean with its spread: two digits of the sd, the mean to the same place.

    >>> [plus_minus(33.1416, 2.04), plus_minus(0.91234, 0.0123), plus_minus(33.1416, None)]
    ['33.1 ± 2.0', '0.912 ± 0.012', '33.14']
    """
    if sd is None or not math.isfinite(mean):
        return number(mean)
    if sd == 0:
        return f"{number(mean)} ± 0"
    places = 1 - math.floor(math.log10(sd))
    if not 0 <= places <= 8:
        return f"{number(mean)} ± {number(sd, 2)}"
    return f"{mean:.{places}f} ± {sd:.{places}f}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: '1 seed', '1,437 images'.

    >>> [counted(1, "seed"), counted(0, "seed"), counted(1437, "image")]
    ['1 seed', '0 seeds', '1,437 images']
    """
    return f"{count:,} {noun}" + "s" * (count != 1)
