"""Score against cost as a figure for documents: all rows, and the front that none of them beats.

The cost is the training seconds, or another score, such as the bytes of a model. Rows that differ
in their ratio only are joined, so that a method of compression is one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genbench.compare import Column, Measure, Row, Table, undominated
from genbench.errors import UsageError
from genbench.pictures.figure import broken, drawing, key_of, legend_beside
from genbench.report.curves import row_names
from genbench.store import Store

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 5.4, 3.9
"""Inches of a panel."""

LOG_RATIO = 5.0
"""The ratio of the largest to the smallest score from which on the axis is logarithmic."""

RATIO = re.compile(r" \d+(\.\d+)? %$")


def save_fronts(store: Store, tables: Sequence[Table], path: Path, cost: str | None) -> None:
    """Draw a panel for each table, one below the other, from its first column and a cost.

    A row of a study has the title that it has there. Raises UsageError where no row has both.
    """
    panels = [(table, found) for table in tables if (found := _costs(table, cost))]
    if not panels:
        raise UsageError(f"--out: no row has both a score and {cost or 'seconds'} to draw")
    with drawing(path) as figure:
        figure.set_size_inches(WIDTH, HEIGHT * len(panels) + 0.9 * (len(panels) - 1))
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (table, found) in zip(grid, panels, strict=True):
            _draw(axes, table, found, _named(store, table), cost)


def _costs(table: Table, cost: str | None) -> Mapping[int, Measure]:
    """The cost of each row that has a finite score and a finite cost, by its number."""
    score = table.columns[0].metric if table.columns else ""
    costs = {
        i: row.total_s if cost is None else row.scores[cost]
        for i, row in enumerate(table.rows)
        if score in row.scores and (cost is None or cost in row.scores)
    }
    return {
        i: measure
        for i, measure in costs.items()
        if math.isfinite(measure.mean) and math.isfinite(table.rows[i].scores[score].mean)
    }


def _named(store: Store, table: Table) -> list[str]:
    """The titles of the rows in their study; those of the table for other rows."""
    names = []
    for row, name in zip(table.rows, row_names(table), strict=True):
        tags = {tag for run in row.runs for tag in store.run(run.id).tags}
        own = sorted(tag.removeprefix("row:") for tag in tags if tag.startswith("row:"))
        names.append(own[0] if len(own) == 1 else name)
    return names


def _draw(
    axes: Axes, table: Table, costs: Mapping[int, Measure], names: Sequence[str], cost: str | None
) -> None:
    column, rows = table.columns[0], [table.rows[i] for i in costs]
    of_cost = next((each for each in table.columns if each.metric == cost), None)
    lines: dict[str, list[int]] = {}
    for i in costs:
        lines.setdefault(RATIO.sub("", names[i]), []).append(i)
    drawn = []
    for place, (name, own) in enumerate(lines.items()):
        points = [(costs[i], table.rows[i].scores[column.metric]) for i in own]
        drawn.append(_line(axes, place, name, points))
    _front(axes, rows, list(costs.values()), column, of_cost)
    _logarithmic(axes, "x", [measure.mean for measure in costs.values()])
    values = [row.scores[column.metric].mean for row in rows]
    if max(values) > LOG_RATIO * min(values):
        _logarithmic(axes, "y", values)
    unit = f", {of_cost.unit}" if of_cost is not None and of_cost.unit else ""
    axes.set(
        xlabel="total training seconds" if cost is None else f"{cost}{unit}",
        ylabel=f"{column.metric}{_better(column)}",
        title=broken(table.title),
    )
    legend_beside(axes, drawn)


def _line(axes: Axes, place: int, name: str, points: Sequence[tuple[Measure, Measure]]) -> Artist:
    """The rows of one method, with the spread of their scores over seeds."""
    colour, marker, line = key_of(place)
    points = sorted(points, key=lambda point: point[0].mean)
    xs, ys = ([measure.mean for measure in each] for each in zip(*points, strict=True))
    spreads = [score.sd or 0.0 for _, score in points]
    axes.errorbar(xs, ys, spreads, color=colour, ls="none", lw=0.7, alpha=0.5)
    keys = {"color": colour, "marker": marker, "ms": 4, "ls": line, "lw": 0.9}
    return axes.plot(xs, ys, label=broken(name), **keys)[0]


def _front(
    axes: Axes, rows: Sequence[Row], costs: Sequence[Measure], column: Column, cost: Column | None
) -> None:
    """A broad grey line of steps through the rows that no other row beats in both."""
    found = undominated(rows, column, cost)
    points = sorted((costs[i].mean, rows[i].scores[column.metric].mean) for i in found)
    rising = cost is not None and cost.direction == "max"
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.step(xs, ys, where="pre" if rising else "post", color="0.8", lw=4, zorder=0)


def _logarithmic(axes: Axes, name: Literal["x", "y"], values: Sequence[float]) -> None:
    """A logarithmic axis with the prefixes of its unit (20k, 1M), if all values are above 0."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    if min(values) > 0:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_formatter(NullFormatter())


def _better(column: Column) -> str:
    return {"min": " (lower is better)", "max": " (higher is better)"}.get(column.direction, "")
