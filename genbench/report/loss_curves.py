"""Training and validation losses of runs over their epochs, as one SVG for documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.errors import UsageError, suggest
from genbench.pictures.figure import broken, drawing, key_of, legend_beside
from genbench.store import Store
from genbench.store.records import Epoch, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOTAL, HELD_OUT, MONITOR = "loss", "test", "monitor"
"""How the store names a sum of terms, losses on the test split, and series that are not losses."""

SECONDS = "seconds"
"""The term that is no loss: the seconds of training until the end of an epoch, all stages included.
"""

WIDTH, HEIGHT, MARGIN, LINE = 4.4, 2.6, 0.8, 0.17
"""Inches of a panel, between two of a row, and of a line of text."""

LETTERS = 60
"""Letters of a caption over the width of a panel."""

LOG_RATIO = 12.0
"""The ratio of the largest to the smallest value from which on an axis is logarithmic."""

MARKED = 20
"""Epochs up to which each is marked."""

Series = tuple[list[float], list[float]]
"""Epochs, and the values at them."""


@dataclass(frozen=True, kw_only=True)
class PanelRow:
    """Panels under one caption: for each term, what its curves are called and their points.

    ``beside``: one legend, at the right of the row, is that of all its panels.
    """

    caption: str
    panels: Mapping[str, Mapping[str, Series]]
    beside: bool = False


def save_loss_curves(store: Store, runs: Sequence[str], path: Path, terms: Sequence[str]) -> None:
    """Draw a row of panels for each stage of each run, one panel for each term.

    Without ``terms``: the loss, and each of its terms that was taken on the test split too. The
    term "seconds" is the training time. Raises UsageError where a run has no epoch yet, or no such
    term.
    """
    rows: list[PanelRow] = []
    for run_id in runs:
        run, epochs = _stored(store, run_id)
        stages = list(dict.fromkeys(epoch.stage for epoch in epochs))
        found = [_row(run, epochs, s, stages, terms) for s in stages]
        if not any(row.panels for row in found):
            raise _no_such(run_id, terms, epochs)
        rows += [row for row in found if row.panels]
    _save(rows, path)


def save_curves_together(
    store: Store, runs: Sequence[str], path: Path, terms: Sequence[str]
) -> None:
    """Draw one panel for each term, in which each run has one curve: of its main stage, held out.

    Without ``terms``: the loss. Raises UsageError where a run has no epoch yet, or no such term.
    """
    panels: dict[str, dict[str, Series]] = {term: {} for term in terms or (TOTAL,)}
    made, longest = dict[str, None](), 0
    for run_id in runs:
        run, epochs = _stored(store, run_id)
        last = next((e.stage for e in reversed(epochs) if e.images), epochs[-1].stage)
        main = [epoch for epoch in epochs if epoch.stage == last]
        made[f"{run.model} on {run.dataset}"] = None
        longest = max(longest, main[-1].stage_epoch)
        for term, curves in panels.items():
            name = _called(run)
            name = f"{name} ({run.id})" if name in curves else name
            if term == SECONDS:
                curves[name] = _seconds(epochs, last)
                continue
            keys = [key for key in _keys(main) if _term(key) == term]
            if not keys:
                raise _no_such(run_id, [term], main)
            key = next((key for key in keys if key.startswith(f"{HELD_OUT}/")), keys[0])
            curves[name] = _series(main, key)
    caption = f"{', '.join(made)}: {len(runs)} runs, up to epoch {longest}"
    _save([PanelRow(caption=caption, panels=panels, beside=True)], path)


def _stored(store: Store, run_id: str) -> tuple[Run, Sequence[Epoch]]:
    run, epochs = store.run(run_id), store.epochs(run_id)
    if not epochs:
        raise UsageError(f"run {run_id} ({run.status}) has no epoch yet, so it has no curve")
    return run, epochs


def _called(run: Run) -> str:
    """The name of a run, else its row of a study, else its id."""
    rows = [tag.removeprefix("row:") for tag in run.tags if tag.startswith("row:")]
    return run.name or next(iter(rows), run.id)


def _no_such(run_id: str, terms: Sequence[str], epochs: Sequence[Epoch]) -> UsageError:
    known = {_term(key) for key in _keys(epochs)}
    given = ", ".join(terms)
    return UsageError(f"--term {given}: run {run_id} has no such term{suggest(given, known)}")


def _keys(epochs: Sequence[Epoch]) -> list[str]:
    """The losses of some epochs; of a term with a weight, the record without it."""
    there = list(dict.fromkeys(key for e in epochs for key in e.losses if "/" in key))
    plain = {_term(key) for key in there if key.startswith(f"{HELD_OUT}/")}
    bare = {_term(k) for k in there if k.startswith(f"{MONITOR}/")} & plain
    return [
        key
        for key in there
        if key.startswith(f"{HELD_OUT}/") or key.startswith(f"{MONITOR}/") == (_term(key) in bare)
    ]


def _row(
    run: Run, every: Sequence[Epoch], name: str, stages: Sequence[str], terms: Sequence[str]
) -> PanelRow:
    """The panels of one stage; none for terms that it has no values of."""
    epochs = [epoch for epoch in every if epoch.stage == name]
    keys, panels = _keys(epochs), dict[str, Mapping[str, Series]]()
    held_out = [_term(key) for key in keys if key.startswith(f"{HELD_OUT}/")]
    for term in terms or dict.fromkeys([TOTAL, *held_out]):
        own = [key for key in keys if _term(key) == term]
        if term == SECONDS:
            panels[term] = {"training": _seconds(every, name)}
        elif own:
            panels[term] = {name: _series(epochs, key) for key, name in _labels(own).items()}
    name = f"{run.name}: " if run.name else ""
    stage = f", stage {epochs[0].stage}" if len(stages) > 1 else ""
    last = f"epochs 1 to {epochs[-1].stage_epoch}" if len(epochs) > 1 else "epoch 1"
    caption = f"{name}{run.model} on {run.dataset}, run {run.id}{stage}, {last}"
    return PanelRow(caption=caption, panels=panels)


def _labels(keys: Sequence[str]) -> Mapping[str, str]:
    """Keys -> what their curves are called: by player where there are several."""
    players = [key for key in keys if not key.startswith(f"{HELD_OUT}/")]
    labels = {key: key.split("/")[0] if len(players) > 1 else "training" for key in players}
    return labels | {key: "validation" for key in keys if key not in labels}


def _series(epochs: Sequence[Epoch], key: str) -> Series:
    taken = [(e.stage_epoch, e.losses[key]) for e in epochs if key in e.losses]
    return [float(x) for x, _ in taken], [float("nan") if y is None else y for _, y in taken]


def _seconds(epochs: Sequence[Epoch], stage: str) -> Series:
    """The seconds of training until the end of each epoch of a stage, with the stages before."""
    spent, found = 0.0, list[tuple[float, float]]()
    for epoch in epochs:
        spent += epoch.train_s
        if epoch.stage == stage:
            found.append((float(epoch.stage_epoch), spent))
    return [x for x, _ in found], [y for _, y in found]


def _term(key: str) -> str:
    return key.split("/", 1)[1]


# --- drawing


def _save(rows: Sequence[PanelRow], path: Path) -> None:
    columns = max(len(row.panels) for row in rows)
    captions = [broken(row.caption, LETTERS * len(row.panels)) for row in rows]
    gap = LINE * (5 + max(text.count("\n") for text in captions))
    with drawing(path) as figure:
        height = len(rows) * (HEIGHT + gap) - gap
        figure.set_size_inches(columns * (WIDTH + MARGIN) - MARGIN, height)
        grid = figure.add_gridspec(
            len(rows),
            columns,
            left=0,
            right=1,
            bottom=0,
            top=1,
            wspace=MARGIN / WIDTH,
            hspace=gap / HEIGHT,
        )
        for place, (row, caption) in enumerate(zip(rows, captions, strict=True)):
            panels = [figure.add_subplot(grid[place, i]) for i in range(len(row.panels))]
            for axes, (term, curves) in zip(panels, row.panels.items(), strict=True):
                _draw(axes, term, curves)
                if not row.beside:
                    axes.legend(frameon=True, framealpha=0.8, edgecolor="white")
            panels[0].set_title(caption, pad=8)
            if row.beside:
                legend_beside(panels[-1], panels[-1].lines)


def _draw(axes: Axes, term: str, curves: Mapping[str, Series]) -> None:
    """One panel; its axis is logarithmic where values span more than a decade."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    for place, (name, (epochs, values)) in enumerate(curves.items()):
        colour, _, line = key_of(place)
        marker = "." if len(epochs) <= MARKED else ""
        axes.plot(epochs, values, color=colour, ls=line, marker=marker, label=broken(name))
    values = [y for _, ys in curves.values() for y in ys if math.isfinite(y)]
    axes.set(xlabel="epoch", ylabel=broken(term))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if values and min(values) > 0 and max(values) > LOG_RATIO * min(values):
        axes.set(yscale="log", ylabel=f"{broken(term)} (log scale)")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
