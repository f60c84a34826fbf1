"""Charts as inline SVG: lines with a band over seeds, and points with their spread.

One drawing serves the screen, print and a browser without scripts; the page's script adds the
read-out and hides the curves of a row. For this, a curve carries its numbers (``data-p``: x, y and
± of each point), the rows of the table that it belongs to (``data-rows``), and the chart its scales
(``data-scale``). Colours are CSS variables of the page (``--c0`` ... ``--c6``), so that one chart
fits light and dark mode; the second seven rows have other dashes and marks.

Why no chart library: docs/compare.md, "The charts of the page".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genbench.formatting import markup as escape

COLOURS, DASHES = 7, 4
LOG_RATIO = 12.0
SIZE = (560.0, 300.0)
MARKED = 24
"""Curves of at most so many points have a mark at each."""

Point = tuple[float, float | None]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line: points (x, y) sorted by x; a y that is None or not finite is a gap.

    ``spread`` is the ± of each point, drawn as a band, and ``seeds`` the number of observations
    behind it. ``rows`` are the rows of the table that the curve belongs to.
    """

    label: str
    points: Sequence[Point]
    colour: int = 0
    spread: Sequence[float | None] = ()
    seeds: int = 1
    rows: Sequence[int] = ()

    @property
    def spreads(self) -> Sequence[float | None]:
        """The ± of each point; None where it isn't known."""
        return self.spread or [None] * len(self.points)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A row as one point, such as its score over its seconds, each with ± if it is known."""

    label: str
    x: float
    y: float
    x_sd: float | None = None
    y_sd: float | None = None
    colour: int = 0
    seeds: int = 1
    rows: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis: its range of values, and that of its positions in SVG units."""

    values: tuple[float, float]
    places: tuple[float, float]
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value; a value below a logarithmic axis is at its end."""
        low, high = self.values
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        start, end = self.places
        return start + (value - low) / (high - low) * (end - start)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Round values on the axis, and their texts."""
        values = log_ticks(*self.values) if self.log else ticks(*self.values)
        return values, tick_texts(values, even=not self.log)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The texts of a chart; ``identity`` makes the ids of title and description unique.

    ``unit`` follows the x of a read-out: "61 s".
    """

    identity: str
    title: str
    desc: str
    x: str
    y: str
    unit: str = ""


def line_chart(
    curves: Sequence[Curve],
    labels: Labels,
    *,
    floor: float | None = None,
    log: bool = True,
    log_x: bool = False,
) -> str:
    """Curves as one ``<svg>``; "" if there is nothing to draw. ``floor`` is a dashed line.

    ``log`` and ``log_x`` allow a logarithmic axis, for values that range widely.
    """
    curves = [c for c in curves if any(_is_finite(y) for _, y in c.points)]
    if not curves:
        return ""
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for c in curves for point, sd in _pairs(c) for y in _extent(point[1], sd)]
    x, y = _x_scale(xs, log=log_x), _y_scale(ys, floor, log=log)
    return _svg(labels, x, y, [*_floor(floor, x, y), *(_curve(c, x, y) for c in curves)])


def dot_chart(
    dots: Sequence[Dot],
    labels: Labels,
    *,
    floor: float | None,
    front: Sequence[Dot] = (),
    log: bool = True,
    rising: bool = False,
) -> str:
    """Rows as points; "" if there are none. ``front``: the points that a line of steps joins.

    With ``rising``, larger values of x are better, and the line goes on to the left.
    """
    if not dots:
        return ""
    xs = [x for dot in dots for x in _extent(dot.x, dot.x_sd)]
    ys = [y for dot in dots for y in _extent(dot.y, dot.y_sd)]
    x, y = _x_scale(xs, log=True), _y_scale(ys, floor, log=log)
    parts = [*_floor(floor, x, y), *_steps(front, x, y, rising), *(_dot(dot, x, y) for dot in dots)]
    return _svg(labels, x, y, parts, kind="dots")


def key(colour: int) -> str:
    """The mark of a row beside its name, as in the charts."""
    classes, style = _classes(colour), _style(colour)
    return (
        f'<svg class="swatch" viewBox="0 0 22 12" aria-hidden="true" {style}>'
        f'<path class="line {classes}" d="M0 6H22"/>{_mark(colour, 11.0, 6.0)}</svg>'
    )


# --- numbers on axes


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) from ``low`` to ``high``.

    >>> ticks(0.0, 98.0)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the bounds; only powers of ten over many decades."""
    decades = math.log10(high / low)
    factors = (1, 2, 5) if decades < 2.5 else (1,)
    every = max(1, round(decades / 7))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [f * 10.0**p for p in powers if p % every == 0 for f in factors]
    return [value for value in found if low <= value <= high]


def tick_texts(values: Sequence[float], *, even: bool) -> list[str]:
    """Ticks as text; with ``even``, all of them have the same number of decimals.

    >>> tick_texts([0.75, 1.0, 1.25], even=True)
    ['0.75', '1.00', '1.25']
    """
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return [f"{value:.3g}" for value in values]
    texts = [f"{value:.10g}" for value in values]
    if even:
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        texts = [f"{value:,.{decimals}f}" for value in values]
    return texts


# --- scales

LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 30.0, 44.0


def _x_scale(xs: Sequence[float], *, log: bool = False) -> Scale:
    """From 0 if values begin near it; logarithmic, if that is allowed, over a wide range."""
    low, high = min(xs), max(xs)
    log = log and low > 0 and high / low > LOG_RATIO
    if log:
        low, high = low / 1.25, high * 1.25
    else:
        low = 0.0 if 0 <= low < 0.6 * high or low == high > 0 else low
        high = high if high > low else low + 1.0
        high += 0.03 * (high - low)
    return Scale(values=(low, high), places=(LEFT, SIZE[0] - RIGHT), log=log)


def _y_scale(ys: Sequence[float], floor: float | None, *, log: bool) -> Scale:
    """The floor is always on the axis, but doesn't make it logarithmic."""
    low, high = min(ys), max(ys)
    log = log and low > 0 and high / low > LOG_RATIO
    if floor is not None and math.isfinite(floor) and not (log and floor <= 0):
        low, high = min(low, floor), max(high, floor)
    if log:
        low, high = low / 1.15, high * 1.05
    else:
        low = min(low, 0.0) if low < 0.35 * high else low
        margin = (high - low or abs(high) or 1.0) * 0.06
        low, high = (low if low == 0 else low - margin), high + margin
    return Scale(values=(low, high), places=(SIZE[1] - BOTTOM, TOP), log=log)


def _extent(value: float | None, sd: float | None) -> list[float]:
    """The value with the ends of its bar; of a bar below 0, little is shown on a log axis."""
    if value is None or not math.isfinite(value):
        return []
    return [value, max(value - sd, value * 0.02), value + sd] if sd else [value]


# --- parts of a drawing


def _svg(labels: Labels, x: Scale, y: Scale, parts: Sequence[str], kind: str = "lines") -> str:
    scale = {
        "x": x.values,
        "y": y.values,
        "px": x.places,
        "py": y.places,
        "logx": x.log,
        "logy": y.log,
        "unit": labels.unit,
    }
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {SIZE[0]:g} {SIZE[1]:g}" role="img" tabindex="0" '
        f'aria-labelledby="{labels.identity}-t {labels.identity}-d" '
        f'data-scale="{escape(json.dumps(scale, separators=(",", ":")))}">'
        f'<title id="{labels.identity}-t">{escape(labels.title)}</title>'
        f'<desc id="{labels.identity}-d">{escape(labels.desc)}</desc>'
        f"{''.join(_axes(labels, x, y))}{''.join(parts)}</svg>"
    )


def _axes(labels: Labels, x: Scale, y: Scale) -> Iterator[str]:
    (left, right), foot = x.places, y.places[0]
    for value, text in zip(*y.ticks(), strict=True):
        yield f'<path class="grid" d="M{left:g} {y.at(value):.1f}H{right:g}"/>'
        yield _text(left - 8, y.at(value) + 4, text, "tick", "end")
    for value, text in zip(*x.ticks(), strict=True):
        yield _text(x.at(value), foot + 18, text, "tick", "middle")
        yield f'<path class="axis" d="M{x.at(value):.1f} {foot:g}v4"/>'
    yield f'<path class="axis" d="M{left:g} {foot:g}H{right:g}"/>'
    scale = " (log scale)" if y.log else ""
    yield _text(0, 14, labels.y + scale, "label", "start")
    yield _text(right, SIZE[1] - 6, labels.x + (" (log scale)" if x.log else ""), "label", "end")


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _floor(floor: float | None, x: Scale, y: Scale) -> list[str]:
    if floor is None or (y.log and floor <= 0):
        return []
    (left, right), at = x.places, y.at(floor)
    text = _text(right, at - 5, f"floor {floor:.3g}", "tick", "end")
    return [f'<path class="floor" d="M{left:g} {at:.1f}H{right:g}"/>{text}']


def _curve(curve: Curve, x: Scale, y: Scale) -> str:
    """A group with the band, the line, and a mark for each of a few points."""
    parts: list[str] = []
    run: list[tuple[float, float, float, float]] = []
    marks = len(curve.points) <= MARKED
    for (at, value), sd in [*_pairs(curve), ((0.0, None), None)]:
        if value is not None and math.isfinite(value):
            low, high = (y.at(value - sd), y.at(value + sd)) if sd else (y.at(value),) * 2
            run.append((x.at(at), y.at(value), min(low, y.places[0]), high))
        elif run:
            parts += _stroke(run, curve.colour, marks)
            run = []
    return f"<g {_of_rows(curve, _numbers(curve))}>{''.join(parts)}</g>"


def _stroke(
    run: Sequence[tuple[float, float, float, float]], colour: int, marks: bool
) -> Iterator[str]:
    """One stretch of a curve without gaps, as places (x, y, low, high)."""
    classes = _classes(colour)
    if any(low != high for _, _, low, high in run):
        there = "L".join(f"{x:.1f} {high:.1f}" for x, _, _, high in run)
        back = "L".join(f"{x:.1f} {low:.1f}" for x, _, low, _ in reversed(run))
        # A single point has no band, but a bar.
        kind = "band" if len(run) > 1 else "bar"
        yield f'<path class="{kind}" d="M{there}L{back}Z"/>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in run)
    yield f'<path class="line {classes}" d="M{path}"/>'
    if marks or len(run) == 1:
        yield from (_mark(colour, x, y) for x, y, _, _ in run)


def _dot(dot: Dot, x: Scale, y: Scale) -> str:
    at, height = x.at(dot.x), y.at(dot.y)
    bars = ""
    if dot.y_sd:
        low = min(y.at(dot.y - dot.y_sd), y.places[0])
        bars += f'<path class="bar" d="M{at:.1f} {low:.1f}V{y.at(dot.y + dot.y_sd):.1f}"/>'
    if dot.x_sd:
        low = max(x.at(dot.x - dot.x_sd), x.places[0])
        bars += f'<path class="bar" d="M{low:.1f} {height:.1f}H{x.at(dot.x + dot.x_sd):.1f}"/>'
    numbers = _joined((dot.x, dot.y, dot.y_sd, dot.x_sd))
    return f"<g {_of_rows(dot, numbers)}>{bars}{_mark(dot.colour, at, height, 5.0)}</g>"


def _steps(front: Sequence[Dot], x: Scale, y: Scale, rising: bool) -> list[str]:
    """A line from each point, from the lowest cost on, over to the next and then to its score."""
    if not front:
        return []
    path = f"M{x.at(front[0].x):.1f} {y.at(front[0].y):.1f}"
    path += "".join(f"H{x.at(dot.x):.1f}V{y.at(dot.y):.1f}" for dot in front[1:])
    return [f'<path class="front" d="{path}H{x.places[0 if rising else 1]:g}"/>']


def _mark(colour: int, x: float, y: float, r: float = 3.2) -> str:
    """A circle, square, diamond or triangle."""
    shape = colour // COLOURS % DASHES
    if shape == 0:
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"/>'
    s = r * 0.95
    path = {
        1: f"m{-s:g} {-s:g}h{2 * s:g}v{2 * s:g}h{-2 * s:g}z",
        2: f"m0 {-1.4 * s:g}l{1.4 * s:g} {1.4 * s:g}l{-1.4 * s:g} {1.4 * s:g}l{-1.4 * s:g} "
        f"{-1.4 * s:g}z",
        3: f"m0 {-1.3 * s:g}l{1.3 * s:g} {2.2 * s:g}h{-2.6 * s:g}z",
    }[shape]
    return f'<path class="mark" d="M{x:.1f} {y:.1f}{path}"/>'


def _classes(colour: int) -> str:
    return f"dash{colour // COLOURS % DASHES}"


def _style(colour: int) -> str:
    return f'style="--c:var(--c{colour % COLOURS})"'


def _of_rows(drawn: Curve | Dot, numbers: str) -> str:
    """The attributes of a group by which the script finds and reads it."""
    rows = f' data-rows="{" ".join(map(str, drawn.rows))}"' if drawn.rows else ""
    seeds = f' data-n="{drawn.seeds}"' if drawn.seeds > 1 else ""
    return (
        f'class="curve" {_style(drawn.colour)}{rows}{seeds} data-name="{escape(drawn.label)}" '
        f'data-p="{numbers}"'
    )


def _numbers(curve: Curve) -> str:
    """'x,y,±;x,y;...' with six digits; a gap is left out."""
    found = ((x, y, sd) for (x, y), sd in _pairs(curve))
    return ";".join(_joined(point) for point in found if _is_finite(point[1]))


def _joined(numbers: Sequence[float | None]) -> str:
    return ",".join("" if v is None else f"{v:.6g}" for v in numbers).rstrip(",")


def _pairs(curve: Curve) -> list[tuple[Point, float | None]]:
    return list(zip(curve.points, curve.spreads, strict=True))


def _is_finite(y: float | None) -> bool:
    return y is not None and math.isfinite(y)
