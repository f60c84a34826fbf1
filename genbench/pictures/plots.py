"""Points and codes as figures: samples over data, classes in the plane, classes along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.formatting import visible
from genbench.pictures.figure import broken, key_of, legend_below, legend_beside, set_caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

SIDE = 4.6
"""Inches of a plane's side."""

MARGIN = 0.08
"""The share of the larger extent that is left free on each side."""

MIDDLE = (0.002, 0.998)
"""Quantiles of each axis that the frame holds: one stray point must not shrink all others."""

NAMED = 12
"""The number of classes up to which names are also written among the points."""

BINS, BELL = 180, 2.0
"""Bins of a density, and the standard deviation, in bins, of the kernel that smooths it."""

OVERLAP, LINE = 1.7, 0.15
"""How many rows the highest ridge reaches up, and inches of a line of text."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The class of each point, int (n,), and the name of each class."""

    labels: Array
    names: Sequence[str]


def draw_samples(figure: Figure, samples: Array, data: Array, about: str) -> Axes:
    """Samples (n, 2) over data (m, 2), both float, with the caption ``about``.

    The frame is the data's, so that pictures of one data set can be compared. Samples beyond it,
    or not finite, are counted in the legend.
    """
    axes = _plane(figure, data.min(axis=0), data.max(axis=0))
    set_caption(axes, about)
    inside, beyond = _inside(axes, samples)
    look: dict[str, Any] = {"s": 6, "alpha": 0.45, "linewidths": 0}
    axes.scatter(*data.T, color="0.55", label="data", **look)
    name = f"{len(samples):,} samples{beyond}"
    axes.scatter(*samples[inside].T, color="#c2410c", label=name, **look)
    legend_below(axes)
    return axes


def draw_classes(
    figure: Figure, points: Array, names: tuple[str, str], classes: Classes | None, about: str
) -> Axes:
    """Points (n, 2) in their own unit by class, with the caption ``about``.

    ``names`` are those of the axes, which have one scale.
    """
    low, high = np.quantile(points, MIDDLE, axis=0)
    axes = _plane(figure, low, high)
    inside, beyond = _inside(axes, points)
    set_caption(axes, about + beyond)
    axes.set(xlabel=names[0], ylabel=names[1])
    look: dict[str, Any] = {"s": 7 if len(points) > 1_500 else 16, "alpha": 0.7, "linewidths": 0}
    if classes is None:
        axes.scatter(*points[inside].T, color="0.5", **look)
        return axes
    labels = classes.labels[inside]
    _scatter(axes, points[inside], labels, look)
    if len(classes.names) <= NAMED:
        _name_medians(axes, points[inside], labels, classes.names)
    for number, name in enumerate(classes.names):
        colour, marker, _ = key_of(number)
        axes.plot([], ls="", color=colour, marker=marker, label=broken(name))
    legend_beside(axes, axes.lines)
    return axes


def draw_ridgelines(
    figure: Figure, values: Array, name: str, classes: Classes | None, about: str
) -> Axes:
    """Values (n,) along the axis ``name``: the density of each class in a row, all of one scale."""
    alone = Classes(labels=np.zeros(len(values), int), names=[""])
    labels, names = (classes or alone).labels, [broken(name) for name in (classes or alone).names]
    lines = 2 + max(name.count("\n") for name in names)
    figure.set_size_inches(1.2 * SIDE, max(SIDE, LINE * lines * len(names)))
    axes = figure.add_axes((0, 0, 1, 1))
    set_caption(axes, about)
    low, high = map(float, np.quantile(values, MIDDLE))
    margin = MARGIN * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    heights = np.stack([_density(values[labels == row], edges) for row in range(len(names))])
    heights *= OVERLAP / (heights.max() or 1.0)
    middles = (edges[1:] + edges[:-1]) / 2
    for row, height in enumerate(heights):
        base, colour = len(names) - 1 - row, key_of(row)[0] if classes else "0.5"
        look: dict[str, Any] = {"color": colour, "zorder": row + 2}
        axes.fill_between(middles, base, base + height, alpha=0.4, lw=0, **look)
        axes.plot(middles, base + height, lw=1.4, **look)
    axes.set_yticks(range(len(names)), names[::-1])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=name, xlim=(edges[0], edges[-1]), ylim=(-0.1, len(names) - 1 + 1.1 * OVERLAP))
    return axes


def _plane(figure: Figure, low: Array, high: Array) -> Axes:
    """A square part of the plane around two corners (2,)."""
    figure.set_size_inches(SIDE, SIDE)
    axes = figure.add_axes((0, 0, 1, 1))
    x, y = (low + high) / 2
    half = (float((high - low).max()) or 1.0) * (0.5 + MARGIN)
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
    return axes


def _inside(axes: Axes, points: Array) -> tuple[Array, str]:
    """Which points are within the frame, (n,) bool, and words that count the others."""
    low, high = zip(axes.get_xlim(), axes.get_ylim(), strict=True)
    inside = np.all((points >= low) & (points <= high), axis=1)
    return inside, "" if inside.all() else f"; {(~inside).sum():,} beyond the frame"


def _scatter(axes: Axes, points: Array, labels: Array, look: dict[str, Any]) -> None:
    """Points in random order, so that no class covers another; classes of one marker together."""
    order = np.random.default_rng(0).permutation(len(points))
    keys = [key_of(int(label)) for label in labels[order]]
    for marker in dict.fromkeys(marker for _, marker, _ in keys):
        own = [i for i, (_, used, _) in enumerate(keys) if used == marker]
        x, y = points[order[own]].T
        axes.scatter(x, y, c=[keys[i][0] for i in own], marker=marker, **look)


def _name_medians(axes: Axes, points: Array, labels: Array, names: Sequence[str]) -> None:
    """The name of each class at the median of its points, where it is short and covers no other."""
    from matplotlib.patheffects import withStroke

    taken: list[Any] = []
    for label in np.unique(labels):
        x, y = np.median(points[labels == label], axis=0)
        rim = [withStroke(linewidth=3, foreground="white")]
        text = axes.text(x, y, visible(names[label]), ha="center", va="center", path_effects=rim)
        box = text.get_window_extent()
        if box.width > axes.bbox.width / 4 or any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def _density(values: Array, edges: Array) -> Array:
    """A smoothed histogram (bins,), the share of the values in each bin."""
    from scipy.ndimage import gaussian_filter1d

    counts, _ = np.histogram(values, edges)
    smooth: Array = gaussian_filter1d(counts / max(1, len(values)), BELL, mode="constant")
    return smooth
