"""A search for settings as figures: scores over trials, settings side by side, what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.formatting import number, visible
from genbench.pictures.figure import set_caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

GOOD, OTHER, STOPPED = "#c2410c", "0.45", "0.75"
"""Colours of what is best, of other trials, and of pruned ones."""

HIGH, WIDE = 3.4, 5.6
"""Inches of a plane."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One setting of all trials: places in [0, 1], and the texts at some of these places."""

    name: str
    places: Array
    marks: Mapping[float, str]


def draw_history(
    figure: Figure, trials: Array, values: Array, pruned: Array, name: str, *, higher: bool
) -> Axes:
    """The value of each trial (n,), and the best until then; ``pruned`` is bool (n,).

    The value of a pruned trial is the last one that it reported.
    """
    axes = _plane(figure, name)
    axes.scatter(trials[~pruned], values[~pruned], s=16, color=OTHER, label="trial")
    if pruned.any():
        look: dict[str, Any] = {"s": 16, "marker": "x", "color": STOPPED}
        axes.scatter(trials[pruned], values[pruned], label="pruned, last report", **look)
    best = np.maximum if higher else np.minimum
    if (~pruned).any():
        line = best.accumulate(values[~pruned])
        axes.step(trials[~pruned], line, where="post", color=GOOD, label="best until then")
    axes.set(xlabel="trial", ylabel=visible(name))
    if not higher and values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.legend()
    return axes


def draw_importance(figure: Figure, shares: Mapping[str, float], about: str) -> Axes:
    """The share of each setting in what the scores depend on, the largest first."""
    names = list(shares)[::-1]
    figure.set_size_inches(WIDE, 0.8 + 0.3 * len(names))
    axes: Axes = figure.add_subplot()
    set_caption(axes, about)
    axes.barh([visible(name) for name in names], [shares[name] for name in names], color=OTHER)
    axes.set(xlim=(0, 1), xlabel="share")
    return axes


def draw_parallel(figure: Figure, settings: Sequence[Axis], values: Array, name: str) -> Axes:
    """A line for each trial through its settings, darker the better; ``values`` (n,), low is best.

    The best trial is drawn last, in its own colour.
    """
    figure.set_size_inches(max(WIDE, 1.3 * len(settings)), HIGH)
    axes: Axes = figure.add_subplot()
    set_caption(axes, f"settings of all trials; the best in {name} in colour")
    columns = np.arange(len(settings))
    table = np.stack([axis.places for axis in settings], axis=1)
    order = np.argsort(-values, kind="stable")
    for rank, row in enumerate(order):
        is_best = rank == len(order) - 1
        shade = 0.88 - 0.6 * rank / max(1, len(order) - 1)
        colour = GOOD if is_best else str(round(shade, 3))
        axes.plot(columns, table[row], color=colour, linewidth=2 if is_best else 0.8)
    for column, axis in enumerate(settings):
        for place, text in axis.marks.items():
            axes.annotate(
                visible(text),
                (column, place),
                xytext=(3, 2),
                textcoords="offset points",
                fontsize=7,
            )
    axes.set_xticks(columns, [visible(axis.name) for axis in settings])
    axes.set(yticks=[], ylim=(-0.05, 1.08))
    return axes


def draw_front(
    figure: Figure, values: Array, seconds: Array, best: Array, names: tuple[str, str]
) -> Axes:
    """Two objectives (n,) of each trial; ``best`` (n,) marks those that no other beats in both."""
    axes = _plane(figure, f"{names[0]} against {names[1]}: {int(best.sum())} on the Pareto front")
    axes.scatter(seconds[~best], values[~best], s=16, color=STOPPED, label="beaten in both")
    order = np.argsort(seconds[best], kind="stable")
    axes.plot(seconds[best][order], values[best][order], "o-", color=GOOD, label="Pareto front")
    axes.set(xlabel=visible(names[1]), ylabel=visible(names[0]))
    axes.legend()
    return axes


def along(low: float, high: float, values: Array, *, log: bool) -> tuple[Array, dict[float, str]]:
    """The places of numbers in a range, and the marks of its ends."""
    ends = np.array([low, high], float)
    scaled = (np.log(values), np.log(ends)) if log else (values, ends)
    places = (scaled[0] - scaled[1][0]) / (scaled[1][1] - scaled[1][0])
    return np.clip(places, 0, 1), {0.0: number(low, 3), 1.0: number(high, 3)}


def _plane(figure: Figure, about: str) -> Axes:
    figure.set_size_inches(WIDE, HIGH)
    axes: Axes = figure.add_subplot()
    set_caption(axes, about)
    return axes
