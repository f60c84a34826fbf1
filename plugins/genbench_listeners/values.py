"""What the listeners share: the numbers and pictures of events, and the check for a package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple

from genbench import (
    EpochDone,
    Evaluated,
    Event,
    Resumed,
    Score,
    StartedRun,
    StepsDone,
    UsageError,
)


class Point(NamedTuple):
    """One value of a series."""

    series: str
    step: int
    value: float


@dataclass
class Values:
    """Turns events into points. ``step`` is the training step that was heard of last."""

    step: int = 0

    def of(self, event: Event) -> list[Point]:
        """The points of an event, under the names of the store: ``vae/loss``, ``test/loss``.

        Seconds and speed are ``epoch/...``, scores ``score/METRIC/SAMPLER``.
        """
        if isinstance(event, Resumed):
            self.step = event.step
        if isinstance(event, StepsDone):
            self.step = max(self.step, event.step)
            series = event.series.items()
            return [Point(name, step, value) for name, values in series for step, value in values]
        if isinstance(event, EpochDone):
            self.step = event.step
            return [Point(name, event.step, value) for name, value in _of_epoch(event).items()]
        if isinstance(event, Evaluated):
            step = self.step if event.step is None else event.step
            return [Point(score_name(event, s), step, s.value) for s in event.scores]
        return []


def score_name(event: Evaluated, score: Score) -> str:
    """``score/fd_clf/plain``; without a sampler for a score of the model itself."""
    return "/".join(filter(None, ("score", score.metric, event.sampler)))


def _of_epoch(done: EpochDone) -> dict[str, float]:
    values = {name: value for name, value in done.losses.items() if name.startswith("test/")}
    values["epoch/number"] = done.epoch
    values["epoch/train_s"] = done.train_s
    if done.train_s > 0:
        values["epoch/images_per_s"] = done.images / done.train_s
    return values


def title(run: StartedRun) -> str:
    """What a run is called where its id is not enough: its name, or "vae on digits"."""
    return run.name or f"{run.spec.model} on {run.spec.dataset}"


def needs(package: str, listener: str) -> None:
    """Raise UsageError where a listener's package isn't installed."""
    if find_spec(package) is None:
        raise UsageError(
            f"listener '{listener}' needs the package '{package}', which isn't installed",
            hint=f"pip install 'genbench[{listener}]'",
        )
