"""The result of a tuning: its best trials, and what fresh seeds say about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from genbench.compare.certainty import Difference, against_best
from genbench.compare.measure import Measure
from genbench.compare.student import critical
from genbench.formatting import counted, duration, number
from genbench.tuning.history import History, shown
from genbench.tuning.question import SearchQuestion, State
from genbench.tuning.search import Trial, best, of_defaults

LEVEL = 0.95
"""The level of the interval of a confirmed mean."""


@dataclass(frozen=True, kw_only=True)
class Winner:
    """One of the best trials: what it reported, and the values of runs with fresh seeds.

    ``confirmed`` has the values of the first objective; a value that isn't finite is among them.
    """

    trial: Trial
    run: str | None
    confirmed: tuple[float, ...] = ()

    @property
    def mean(self) -> float | None:
        """The mean of the confirmed values."""
        return fmean(self.confirmed) if self.confirmed else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the confirmed mean; None below two runs."""
        return interval(self.confirmed) if len(self.confirmed) > 1 else None


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of a mean at `LEVEL`, from two values or more."""
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    half = critical(1 - LEVEL, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def winners(
    history: Sequence[Trial],
    top: int,
    runs: Mapping[int, str | None],
    confirmed: Mapping[int, Sequence[float]],
) -> list[Winner]:
    """The ``top`` best trials, in the order of their confirmed means if all of them have one.

    ``runs`` and ``confirmed`` are by the number of the trial.
    """
    found = [
        Winner(
            trial=trial,
            run=runs.get(trial.number),
            confirmed=tuple(confirmed.get(trial.number, ())),
        )
        for trial in best(history)[:top]
    ]
    if found and all(one.confirmed for one in found):
        found.sort(key=lambda one: (not math.isfinite(one.mean or 0.0), one.mean))
    return found


def confirmed_defaults(question: SearchQuestion, history: History) -> Winner | None:
    """The trial of the defaults beside what fresh seeds say about it; None if they say nothing."""
    trial = of_defaults(question, history.trials)
    values = history.confirmed.get(trial.number) if trial else None
    if trial is None or not values:
        return None
    return Winner(trial=trial, run=history.runs.get(trial.number), confirmed=values)


def against_defaults(
    defaults: Winner, found: Sequence[Winner], direction: str
) -> dict[int, Difference]:
    """By the number of a trial: its confirmed mean minus that of the defaults, with the test.

    It is that of `compare`, Welch's with Holm's correction over all pairs of what was confirmed.
    """
    measures = {
        one.trial.number: Measure(values=tuple(shown(value, direction) for value in one.confirmed))
        for one in (defaults, *found)
        if one.confirmed
    }
    own = measures.pop(defaults.trial.number)
    return against_best(own, measures, len(measures) + 1)


def findings(question: SearchQuestion, history: History, top: int) -> Iterator[str]:
    """What a search has found, in sentences: what was asked, and its best trials."""
    how_many = ", ".join(f"{count} {state}" for state, count in counts(history.trials).items())
    limit = "" if question.limit is None else f" of {question.limit[1]:g} {question.limit[0]}"
    names = ", ".join(knob.name for knob in question.space)
    yield (
        f"{question.model} on {question.dataset}: {question.sampler} over {names} for "
        f"{' and '.join(question.objectives)}; trials{limit}: {how_many}; "
        f"all runs took {duration(history.spent_s)}"
    )
    for one in winners(history.trials, top, history.runs, history.confirmed):
        told = as_dict(one, history.directions)
        pairs = zip(question.objectives, told["reported"], strict=True)
        reported = ", ".join(f"{name} {number(value)}" for name, value in pairs)
        settings = ", ".join(
            f"{name} {number(v, 3) if isinstance(v, float) else v}"
            for name, v in one.trial.settings.items()
        )
        text = f"trial {one.trial.number} ({settings}): reported {reported}"
        if one.confirmed:
            n = counted(len(one.confirmed), "fresh seed")
            text += f"; confirmed {number(told['confirmed_mean'])} by {n}"
        if one.interval:
            text += f", 95 % interval {' to '.join(map(number, told['confirmed_interval']))}"
        yield text


def counts(history: Sequence[Trial]) -> dict[str, int]:
    """The number of trials in each state, without those that are empty."""
    found = {state.value: sum(trial.state is state for trial in history) for state in State}
    return {name: count for name, count in found.items() if count}


def as_dict(winner: Winner, directions: Sequence[str]) -> dict[str, Any]:
    """A winner as JSON values in the directions of its metrics ("max": higher is better)."""
    direction = directions[0]
    ends = sorted(shown(end, direction) for end in winner.interval or ())
    return {
        "trial": winner.trial.number,
        "run": winner.run,
        "settings": dict(winner.trial.settings),
        "reported": list(map(shown, winner.trial.values, directions)),
        "confirmed": [shown(value, direction) for value in winner.confirmed],
        "confirmed_mean": None if winner.mean is None else shown(winner.mean, direction),
        "confirmed_interval": ends or None,
    }
