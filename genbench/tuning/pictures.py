"""The pictures of a tuning: scores over trials, what mattered, settings side by side, the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genbench.errors import UsageError
from genbench.tuning.history import History, shown
from genbench.tuning.question import SearchQuestion, State
from genbench.tuning.search import Trial, best, importance
from genbench.tuning.space import Categories, Knob

if TYPE_CHECKING:
    from genbench.pictures.searches import Axis

LEAST = 4
"""Trials with a score below which nothing is said about importance."""


CAPTIONS = {
    "trials": "Scores over the trials",
    "importance": "What the score depends on",
    "settings": "Settings side by side",
    "front": "Pareto front",
}
"""The pictures by the names of their files, in the order of the report."""


def draw(folder: Path, question: SearchQuestion, history: History) -> list[Path]:
    """Draw what the trials allow as SVG files in a folder; return their paths."""
    from genbench.pictures.figure import drawing

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in _pictures(question, history):
        path = folder / f"{name}.svg"
        with drawing(path) as figure:
            picture(figure)
        written.append(path)
    return written


def drawn(question: SearchQuestion, history: History) -> dict[str, str]:
    """The pictures that the trials allow as SVG texts, by their captions."""
    with TemporaryDirectory(prefix="genbench-") as folder:
        paths = {path.stem: path for path in draw(Path(folder), question, history)}
        return {
            caption: paths[name].read_text(encoding="utf-8")
            for name, caption in CAPTIONS.items()
            if name in paths
        }


def _pictures(
    question: SearchQuestion, history: History
) -> list[tuple[str, Callable[[Any], object]]]:
    import numpy as np

    from genbench.pictures import searches

    done = [trial for trial in history.trials if trial.is_good]
    if not done:
        return []
    name, way = question.objectives[0], history.directions[0]
    first = np.array([trial.values[0] for trial in done])
    axes = [_axis(knob, done) for knob in question.space]
    known = [(t, _last(t)) for t in history.trials if math.isfinite(_last(t))]
    trials = np.array([trial.number for trial, _ in known])
    values = np.array([shown(value, way) for _, value in known])
    pruned = np.array([trial.state is State.PRUNED for trial, _ in known])
    found: list[tuple[str, Callable[[Any], object]]] = [
        (
            "trials",
            lambda f: searches.draw_history(f, trials, values, pruned, name, higher=way == "max"),
        ),
        ("settings", lambda f: searches.draw_parallel(f, axes, first, name)),
    ]
    shares = _importance(question, history) if len(done) >= LEAST else {}
    if len(shares) > 1:
        about = f"what {name} depends on among {len(done)} trials (PED-ANOVA)"
        found.append(("importance", lambda f: searches.draw_importance(f, shares, about)))
    if len(question.objectives) > 1:
        front = {trial.number for trial in best(history.trials)}
        on_it = np.array([trial.number in front for trial in done])
        other = history.directions[1]
        second = np.array([shown(trial.values[1], other) for trial in done])
        scores, names = np.array([shown(v, way) for v in first]), (name, question.objectives[1])
        found.append(("front", lambda f: searches.draw_front(f, scores, second, on_it, names)))
    return found


def _importance(question: SearchQuestion, history: History) -> dict[str, float]:
    """The share of each setting; none without optuna, which a report can do without."""
    try:
        return importance(question, history.trials)
    except UsageError:
        return {}


def _last(trial: Trial) -> float:
    """The value of a trial, or what it reported last before it was pruned."""
    if trial.is_good:
        return trial.values[0]
    if trial.state is State.PRUNED and trial.reported:
        return trial.reported[max(trial.reported)]
    return math.nan


def _axis(knob: Knob, trials: Sequence[Trial]) -> Axis:
    import numpy as np

    from genbench.pictures.searches import Axis, along

    own = [trial.settings[knob.name] for trial in trials]
    domain = knob.domain
    if isinstance(domain, Categories):
        step = 1 / max(1, len(domain.values) - 1)
        places = np.array([step * domain.values.index(str(value)) for value in own])
        marks = {step * i: text for i, text in enumerate(domain.values)}
        return Axis(name=knob.name, places=places, marks=marks)
    numbers = np.array([float(value) for value in own])
    places, marks = along(domain.low, domain.high, numbers, log=domain.log)
    return Axis(name=knob.name, places=places, marks=marks)
