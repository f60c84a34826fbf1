"""The display of runs that are trained together: one bar or line for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from genbench.cli.progress import Display, Screen
from genbench.events import (
    Checkpointed,
    EpochDone,
    Event,
    Listener,
    RunFailed,
    StageStarted,
    StepsDone,
)
from genbench.formatting import counted, spans

if TYPE_CHECKING:
    from genbench.store.records import Run


class GroupDisplay:
    """Shows an epoch once, when all seeds that go on have reported it, with means of their losses.

    Scores, warnings and failures of a seed begin with its number.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._going_on: list[int] = []
        self._reported: dict[int, Checkpointed] = {}

    def begin(self, runs: Sequence[Run]) -> None:
        """Print the first lines."""
        first, screen = runs[0], self._display.screen
        self._display.expect(first.epochs_planned)
        screen.line(
            f"{counted(len(runs), 'run')}, seeds {spans([run.seed for run in runs])}: "
            f"{first.model} on {first.dataset}, {counted(first.epochs_planned, 'epoch')}, "
            f"{first.parameters or 0:,} parameters each, {first.device} {first.precision}; "
            "losses are means over the seeds"
        )
        for run in runs:
            screen.line(f"seed {run.seed}: run {run.id}{f' {run.name!r}' if run.name else ''}")

    def listener(self, run: Run) -> Listener:
        """The listener for the events of one of the runs."""
        seed = run.seed
        self._going_on.append(seed)
        own = _OneSeed(_Prefixed(self._display.screen, f"seed {seed}: "))

        def hear(event: Event) -> None:
            own(event)
            self._hear(seed, event)

        return hear

    def _hear(self, seed: int, event: Event) -> None:
        match event:
            case StageStarted() | StepsDone():
                if seed == self._going_on[0]:
                    self._display(event)
            case Checkpointed(epoch_done=EpochDone()):
                self._reported[seed] = event
                self._report()
            case RunFailed():
                self._display.screen.line(f"seed {seed} failed: {event.error}")
                self._going_on.remove(seed)
                self._reported.pop(seed, None)
                self._report()

    def _report(self) -> None:
        """Show the oldest epoch that all seeds have reported."""
        if not self._going_on or len(self._reported) < len(self._going_on):
            return
        reported, self._reported = self._reported, {}
        found = [event.epoch_done for event in reported.values() if event.epoch_done is not None]
        whole = replace(
            found[0],
            losses=_means([done.losses for done in found]),
            train_s=math.fsum(done.train_s for done in found),
        )
        self._display(replace(reported[self._going_on[0]], epoch_done=whole))


class _OneSeed(Display):
    """What is said of one seed only: its scores, warnings and notices."""

    def __call__(self, event: Event) -> None:
        """Show an event, unless it is one of the whole group."""
        if not isinstance(event, StageStarted | StepsDone):
            super().__call__(event)

    def _show_epoch(self, done: EpochDone) -> None:
        pass


class _Prefixed(Screen):
    """A screen on which each line begins with some words."""

    def __init__(self, screen: Screen, words: str) -> None:
        self._screen, self._words = screen, words

    def line(self, text: str) -> None:
        """Print it on the shared screen."""
        self._screen.line(self._words + text)


def _means(losses: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: math.fsum(own[key] for own in losses) / len(losses) for key in losses[0]}
