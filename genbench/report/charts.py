"""Line charts as inline SVG without plotting library or script; a curve has a few hundred bytes.

Colours are CSS variables of the page (``--c0`` ... ``--c6``), so that one chart fits light and dark
mode. Every curve has its name at its end, so that colour is never the only key. matplotlib would
add a second to the command and 100 kB per chart to the page, with fonts converted to paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from genbench.formatting import markup as escape

COLOURS = 7
LIMIT = 300
LABEL = 22
"""The maximum number of letters in the name of a curve."""

LABEL_GAP, LETTER = 15.0, 7.6
"""SVG units: the distance between names of curves, and the width of a letter."""

LOG_RATIO = 12.0

Point = tuple[float, float | None]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line: points (x, y) sorted by x; a y that is None or not finite is a gap.

    ``spread`` is the ± of each point, drawn as a bar; with ``marks``, the points are drawn too.
    """

    label: str
    points: Sequence[Point]
    colour: int = 0
    spread: Sequence[float | None] = ()
    marks: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The drawing area and its scales, in SVG units."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_y: bool
    right: float
    left: float = 52.0
    top: float = 30.0
    bottom: float = 44.0

    def at_x(self, value: float) -> float:
        """The position of a value of x."""
        low, high = self.x
        return self.left + (value - low) / (high - low) * (self.width - self.left - self.right)

    def at_y(self, value: float) -> float:
        """The position of a value of y; the axis points up."""
        low, high = self.y
        if self.log_y:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        share = (value - low) / (high - low)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def line_chart(
    curves: Sequence[Curve],
    *,
    identity: str,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    size: tuple[float, float] = (640.0, 320.0),
) -> str:
    """One chart as an ``<svg>`` with title and description; "" if there is nothing to draw.

    ``identity`` makes the ids of title and description unique on the page.
    """
    curves = [c for c in curves if any(_is_finite(y) for _, y in c.points)]
    if not curves:
        return ""
    frame = _frame(curves, size)
    parts = [
        f'<svg viewBox="0 0 {size[0]:g} {size[1]:g}" role="img" '
        f'aria-labelledby="{identity}-t {identity}-d">',
        f'<title id="{identity}-t">{escape(title)}</title>',
        f'<desc id="{identity}-d">{escape(desc)}</desc>',
        *_axes(frame, x_label, y_label),
        *(part for curve in curves for part in _curve(curve, frame)),
        *_end_labels(curves, frame),
        "</svg>",
    ]
    return "".join(parts)


def downsample(points: Sequence[Point], limit: int = LIMIT) -> list[Point]:
    """At most ``limit`` points: means over groups of equal size; the last point is kept.

    A group without finite values becomes a gap.
    """
    if len(points) <= limit:
        return list(points)
    buckets = limit - 1
    edges = [round(i * (len(points) - 1) / buckets) for i in range(buckets + 1)]
    kept = [_mean(points[a:b]) for a, b in pairwise(edges)]
    return [*kept, points[-1]]


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
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]


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
    return [text.replace(",", "\u202f") for text in texts]


def _frame(curves: Sequence[Curve], size: tuple[float, float]) -> Frame:
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for y in _extent(curve)]
    low, high = min(ys), max(ys)
    log_y = low > 0 and high / low > LOG_RATIO
    if log_y:
        low, high = low / 1.15, high * 1.05
    else:
        low = min(low, 0.0) if low < 0.35 * high else low
        margin = (high - low or abs(high) or 1.0) * 0.06
        low, high = (low if low == 0 else low - margin), high + margin
    x_high = max(xs)
    x_low = 0.0 if 0 <= min(xs) < 0.3 * x_high else min(xs)
    x_high = x_high if x_high > x_low else x_low + 1.0
    width, height = size
    longest = max(map(len, shortened([curve.label for curve in curves])))
    return Frame(
        width=width,
        height=height,
        x=(x_low, x_high),
        y=(low, high),
        log_y=log_y,
        right=24.0 + LETTER * longest,
    )


def _extent(curve: Curve) -> list[float]:
    """The values of a curve that the y axis must include: finite values and the ends of bars."""
    values = []
    spread = list(curve.spread) or [None] * len(curve.points)
    for (_, y), bar in zip(curve.points, spread, strict=True):
        if y is not None and math.isfinite(y):
            values += [y] if not bar else [y, max(y - bar, y * 0.02), y + bar]
    return values


def _axes(frame: Frame, x_label: str, y_label: str) -> list[str]:
    parts = []
    right = frame.width - frame.right
    floor = frame.height - frame.bottom
    values = log_ticks(*frame.y) if frame.log_y else ticks(*frame.y)
    for value, text in zip(values, tick_texts(values, even=not frame.log_y), strict=True):
        y = frame.at_y(value)
        parts.append(f'<path class="grid" d="M{frame.left:g} {y:.1f}H{right:g}"/>')
        parts.append(_text(frame.left - 8, y + 4, text, "tick", "end"))
    values = ticks(*frame.x)
    for value, text in zip(values, tick_texts(values, even=True), strict=True):
        parts.append(_text(frame.at_x(value), floor + 18, text, "tick", "middle"))
        parts.append(f'<path class="axis" d="M{frame.at_x(value):.1f} {floor:g}v4"/>')
    parts.append(f'<path class="axis" d="M{frame.left:g} {floor:g}H{right:g}"/>')
    scale = " (log scale)" if frame.log_y else ""
    parts.append(_text(0, 14, y_label + scale, "label", "start"))
    parts.append(_text(right, frame.height - 6, x_label, "label", "end"))
    return parts


def _curve(curve: Curve, frame: Frame) -> list[str]:
    style = f'style="--c:var(--c{curve.colour % COLOURS})"'
    parts = []
    path, pen_down = [], False
    spread = list(curve.spread) or [None] * len(curve.points)
    for (x, y), bar in zip(curve.points, spread, strict=True):
        if y is None or not math.isfinite(y):
            pen_down = False
            continue
        px, py = frame.at_x(x), frame.at_y(y)
        path.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
        pen_down = True
        if bar:
            top, foot = frame.at_y(y + bar), frame.at_y(max(y - bar, frame.y[0]))
            parts.append(f'<path class="bar" {style} d="M{px:.1f} {top:.1f}V{foot:.1f}"/>')
        if curve.marks:
            parts.append(f'<circle class="mark" {style} cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>')
    return [f'<path class="line" {style} d="{"".join(path)}"/>', *parts]


def _end_labels(curves: Sequence[Curve], frame: Frame) -> list[str]:
    """The name of each curve next to its end; names that would overlap are moved apart."""
    names = dict(zip((c.label for c in curves), shortened([c.label for c in curves]), strict=True))
    ends = []
    for curve in curves:
        x, y = next((x, y) for x, y in reversed(curve.points) if y is not None and _is_finite(y))
        ends.append((frame.at_y(y), frame.at_x(x), curve))
    ends.sort(key=lambda end: end[0])
    places = spread_apart([end[0] for end in ends], LABEL_GAP, frame.height - frame.bottom)
    edge = frame.width - frame.right + 10
    parts = []
    for (y, x, curve), place in zip(ends, places, strict=True):
        style = f'style="--c:var(--c{curve.colour % COLOURS})"'
        if abs(place - y) > 2 or edge - x > 14:
            path = f"M{x + 4:.1f} {y:.1f}L{edge:g} {place:.1f}"
            parts.append(f'<path class="lead" {style} d="{path}"/>')
        parts.append(
            f'<text class="name" {style} x="{edge + 4:g}" y="{place + 4:.1f}">'
            f"{escape(names[curve.label])}</text>"
        )
    return parts


def spread_apart(places: Sequence[float], gap: float, floor: float) -> list[float]:
    """Move ascending positions apart by at least ``gap``, and keep all of them above ``floor``."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for i in reversed(range(len(moved))):
        limit = floor if i == len(moved) - 1 else moved[i + 1] - gap
        moved[i] = min(moved[i], limit)
    return moved


def _mean(points: Sequence[Point]) -> Point:
    x = sum(x for x, _ in points) / len(points)
    ys = [y for _, y in points if y is not None and math.isfinite(y)]
    return x, sum(ys) / len(ys) if ys else None


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def shortened(labels: Sequence[str], limit: int = LABEL) -> list[str]:
    """Labels of at most ``limit`` letters, shortened where they are equal.

    >>> shortened(["vae (lin2023, beta=0.5)", "vae (lin2023, beta=4)", "gan"], 16)
    ['vae … beta=0.5)', 'vae … beta=4)', 'gan']
    """
    cut = [_ended(label, limit) for label in labels]
    for text in {text for text in cut if cut.count(text) > 1}:
        group = [i for i, shown in enumerate(cut) if shown == text]
        alike = _beginning([labels[i] for i in group])
        first, _, _ = alike.partition(" ")
        # Keep the text from the first word in which they differ.
        start = max(alike.rfind(" "), alike.rfind("-"), alike.rfind("/")) + 1
        start = start if start else len(alike)
        for i in group:
            head = f"{first[: limit // 3]} … " if " " in alike else "…"
            cut[i] = head + _ended(labels[i][start:], limit - len(head))
    return cut


def _beginning(texts: Sequence[str]) -> str:
    """The common prefix of all strings."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((i for i, (a, b) in pairs if a != b), len(first))]


def _ended(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_finite(y: float | None) -> bool:
    return y is not None and math.isfinite(y)
