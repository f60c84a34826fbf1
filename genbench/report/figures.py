"""The charts and sample grids of the page, each with a caption and an alternative text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from genbench.formatting import duration, markup as escape
from genbench.report.album import Shot
from genbench.report.charts import Curve, Labels, dot_chart, key, line_chart
from genbench.report.content import Experiment, Section
from genbench.report.curves import AXES, Panel, row_names
from genbench.report.evaluations import Evaluations
from genbench.report.pareto import Front

UNITS = {"seconds": "s", "epochs": "epochs"}
SHOWN_FRONTS = 2
"""Pareto charts that stand open; the others are folded."""


def legend(section: Section, index: int) -> str:
    """A button for each row, which hides and shows it, and the choice of the axis of curves."""
    names = row_names(section.table)
    rows = section.table.rows
    items = "".join(
        f'<li><button type="button" class="toggle" data-row="{i}" aria-pressed="true">'
        f"{key(section.colours[row.title])}<span>{escape(names[i])}</span></button></li>"
        for i, row in enumerate(rows)
    )
    axes = "".join(
        f'<button type="button" data-axis="{axis}" aria-pressed="{str(axis == "seconds").lower()}">'
        f"{axis}</button>"
        for axis in AXES
    )
    short = " stays" if len(rows) <= 8 and sum(map(len, names)) < 220 else ""
    return (
        f'<div class="legend{short}" role="group" aria-labelledby="data-{index}-h">'
        f'<ul>{items}</ul><div class="switch scripted" role="group" '
        f'aria-label="Curves and samples over"><span>over</span>{axes}</div></div>'
    )


# --- score against seconds


def pareto(section: Section, index: int) -> str:
    """Score against training seconds: first in the metric that ranks the rows; most are folded."""
    drawn = [_front(front, f"f{index}-{i}") for i, front in enumerate(section.fronts)]
    if not drawn:
        return ""
    shown = "".join(drawn[:SHOWN_FRONTS])
    others = section.fronts[SHOWN_FRONTS:]
    names = ", ".join(map(_titled, others))
    return (
        "<h3>Score against cost</h3>\n"
        '<p class="under">A point is a row of the table: the mean over its seeds, with bars of one '
        "standard deviation. The line joins the rows that no other row beats in both; the dashed "
        "line is the floor, the score of real data.</p>\n"
        f'<div class="figures">{shown}</div>'
        + (
            f'<details class="folded"><summary>{escape(names)}</summary>'
            f'<div class="figures">{"".join(drawn[SHOWN_FRONTS:])}</div></details>'
            if others
            else ""
        )
    )


def _front(front: Front, identity: str) -> str:
    column = front.column
    better = {"min": ", lower is better", "max": ", higher is better"}.get(column.direction, "")
    cost, unit = "training seconds", "s"
    if front.cost is not None:
        cost, unit = front.cost.metric, front.cost.unit
    joined = "after" if front.cost is None else "at"
    listed = "; ".join(
        f"{dot.label} {dot.y:.4g} {joined} {dot.x:.4g} {unit}".rstrip() for dot in front.dots
    )
    labels = Labels(
        identity=identity,
        title=f"{column.metric} against {cost}",
        desc=f"{listed}. Not beaten in both: {', '.join(dot.label for dot in front.best)}.",
        x="total training seconds" if front.cost is None else cost + (f", {unit}" if unit else ""),
        y=column.metric + (f", {column.unit}" if column.unit else ""),
        unit=unit,
    )
    svg = dot_chart(
        front.dots,
        labels,
        floor=front.floor,
        front=front.best,
        log=column.direction != "max",
        rising=front.cost is not None and front.cost.direction == "max",
    )
    away = (
        f" <small>without {escape(', '.join(front.elsewhere))}, trained on another machine</small>"
        if front.elsewhere
        else ""
    )
    caption = f"<figcaption>{escape(_titled(front))}<small>{better}</small>{away}</figcaption>"
    return f"<figure>{caption}{svg}</figure>\n"


def _titled(front: Front) -> str:
    """'fd_clf', or 'fd_clf against bytes'."""
    against = "" if front.cost is None else f" against {front.cost.metric}"
    return front.column.metric + against


# --- score against evaluations


def evaluations(section: Section, index: int) -> str:
    """Score against function evaluations; "" unless some samples take several."""
    drawn = [_evaluations(found, f"n{index}-{i}") for i, found in enumerate(section.evaluations)]
    if not drawn:
        return ""
    return (
        "<h3>Score against function evaluations</h3>\n"
        '<p class="under">A point is the mean score over seeds. The horizontal axis is the '
        "number of passes through the network that a sample takes, one after the other. A line "
        "joins the samplers of one model that differ in their number of steps.</p>\n"
        f'<div class="figures">{"".join(drawn)}</div>'
    )


def _evaluations(found: Evaluations, identity: str) -> str:
    column = found.column
    better = {"min": ", lower is better", "max": ", higher is better"}.get(column.direction, "")
    labels = Labels(
        identity=identity,
        title=f"{column.metric} against function evaluations",
        desc=_described(found.curves, column.metric, "function evaluations"),
        x="function evaluations per sample",
        y=column.metric + (f", {column.unit}" if column.unit else ""),
        unit="NFE",
    )
    log = column.direction != "max"
    svg = line_chart(found.curves, labels, floor=found.floor, log=log, log_x=True)
    names = "".join(f"<li>{key(c.colour)}{escape(c.label)}</li>" for c in found.curves)
    caption = f"<figcaption>{escape(column.metric)}<small>{better}</small></figcaption>"
    return f'<figure>{caption}{svg}<ul class="names">{names}</ul></figure>\n'


# --- curves


def probes(section: Section, index: int) -> str:
    """Scores of few samples between epochs, folded if there are curves of the scores themselves."""
    drawn = charts(section.probes, f"w{index}")
    if not drawn:
        return ""
    names = escape(", ".join(panel.title for panel in section.probes))
    return (
        f'<details class="folded"{"" if section.scores else " open"}><summary>Between epochs, on '
        f'few samples: {names}</summary><p class="under">By the monitor, on 500 samples of each '
        "model: good for seeing when a model improves. These are not the scores of the table, and "
        f"have other values.</p>{drawn}</details>"
    )


def figures(title: str, under: str, panels: Sequence[Panel], prefix: str) -> str:
    """Charts side by side; "" if there are none. ``prefix`` makes their ids unique."""
    drawn = charts(panels, prefix)
    if not drawn:
        return ""
    return f'<h3>{escape(title)}</h3>\n<p class="under">{escape(under)}</p>\n{drawn}'


def charts(panels: Sequence[Panel], prefix: str, *, own_legend: bool = False) -> str:
    """The charts alone. With ``own_legend``, each names its curves."""
    drawn = [
        f"<figure><figcaption>{escape(panel.title)}</figcaption>{svgs}"
        f"{_names(panel) if own_legend else ''}</figure>\n"
        for i, panel in enumerate(panels)
        if (svgs := "".join(_drawn(panel, f"{prefix}-{i}")))
    ]
    return f'<div class="figures">\n{"".join(drawn)}</div>' if drawn else ""


def _drawn(panel: Panel, identity: str) -> Iterator[str]:
    """The chart over each axis, of which the page shows one."""
    for axis, x in AXES.items():
        labels = Labels(
            identity=f"{identity}-{axis}",
            title=f"{panel.title} over {axis}",
            desc=_described(panel.curves.get(axis, ()), panel.y_label, axis),
            x=x,
            y=panel.y_label,
            unit=UNITS[axis],
        )
        svg = line_chart(panel.curves.get(axis, ()), labels, floor=panel.floor, log=panel.log)
        if svg:
            yield f'<div class="by-{axis}">{svg}</div>'


def _described(curves: Sequence[Curve], y_label: str, axis: str) -> str:
    """The alternative text of a chart: where each curve begins and ends."""
    ends = []
    for curve in curves:
        finite = [(x, y) for x, y in curve.points if y is not None]
        if finite:
            (x0, y0), (x1, y1) = finite[0], finite[-1]
            ends.append(f"{curve.label} goes from {y0:.3g} at {x0:.3g} to {y1:.3g} at {x1:.3g}")
    return f"{y_label} over {axis}: {'; '.join(ends)}."


def _names(panel: Panel) -> str:
    curves = next(iter(panel.curves.values()), ())
    items = "".join(f"<li>{key(curve.colour)}{escape(curve.label)}</li>" for curve in curves)
    return f'<ul class="names">{items}</ul>'


# --- samples over the training


def grids(section: Section, index: int) -> str:
    """The sample grids side by side, with a slider that steps all of them together."""
    shown = [experiment for experiment in section.experiments if experiment.samples]
    if not shown:
        return ""
    figures = "".join(_grid(experiment) for experiment in shown)
    seeds = sorted({experiment.shown.seed for experiment in shown})
    noise = (
        f"All grids are of seed {seeds[0]}, which determines the noise, so that"
        if len(seeds) == 1
        else f"The grids are of seeds {', '.join(map(str, seeds))}, since no seed is common to all "
        "rows; within a row"
    )
    return (
        f'<h3 id="samples-{index}">Samples over the training</h3>\n<p class="under">Samples from '
        f"fixed noise, not selected. {noise} pictures differ by the weights only.</p>\n"
        f'<div class="grids">{_slider(shown, index)}<div class="pictures">{figures}</div></div>'
    )


def _slider(shown: Sequence[Experiment], index: int) -> str:
    steps = {
        "epochs": _steps(shown, lambda shot: shot.epoch),
        "seconds": _steps(shown, lambda shot: shot.seconds),
    }
    if max(map(len, steps.values())) < 2:
        return ""
    lists = " ".join(f'data-{axis}="{json.dumps(found)}"' for axis, found in steps.items())
    last = len(steps["seconds"]) - 1
    return (
        f'<div class="slider scripted"><input type="range" min="0" max="{last}" value="{last}" '
        f'step="1" aria-labelledby="samples-{index}" {lists}><output></output></div>'
    )


def _steps(shown: Sequence[Experiment], when: Callable[[Shot], float]) -> list[float]:
    """The moments at which a picture of any row changes."""
    return sorted({float(f"{when(s):.6g}") for experiment in shown for s in experiment.samples})


def _grid(experiment: Experiment) -> str:
    title = experiment.first.title
    last = len(experiment.samples) - 1
    pictures = "".join(
        image(title, shot, hidden=i < last) for i, shot in enumerate(experiment.samples)
    )
    return (
        f'<figure data-rows="{" ".join(map(str, experiment.rows))}"><figcaption>'
        f"{key(experiment.colour)}<span>{escape(title)}</span>"
        f"<small>{_when(experiment.samples[-1])}</small></figcaption>"
        f'<div class="frames">{pictures}</div></figure>'
    )


def image(title: str, shot: Shot, *, hidden: bool = False) -> str:
    """A picture with its alternative text."""
    style = f' style="{shot.style}"' if shot.style else ""
    when = _when(shot)
    return (
        f'<img alt="{escape(title)}, {shot.kind}, {when}" src="{shot.uri}"{style} '
        f'data-epochs="{shot.epoch}" data-seconds="{shot.seconds:.6g}" data-when="{when}"'
        f"{' hidden' if hidden else ''}>"
    )


def _when(shot: Shot) -> str:
    epoch = f"epoch {shot.epoch}"
    if shot.stage and shot.stage_epoch != shot.epoch:
        epoch += f" ({shot.stage_epoch} of stage {shot.stage})"
    return escape(f"{epoch}, {duration(shot.seconds)}")
