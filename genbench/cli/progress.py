"""The display of a run on stderr: a bar on a terminal, plain lines elsewhere.

An epoch is shown when its checkpoint is safe, and so is what was scored after it: nothing that
was shown can be lost. Elsewhere than on a terminal at most two epochs a second get a line, but
the first and the last of a stage always do.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from genbench.events import (
    Checkpointed,
    EpochDone,
    Evaluated,
    Event,
    Noticed,
    Resumed,
    StageStarted,
    StepsDone,
    Warned,
)
from genbench.formatting import counted, duration, losses_in_words, measured, plain

if TYPE_CHECKING:
    from rich.progress import TaskID

    from genbench.contracts import Score
    from genbench.store.records import Run

SECONDS_BETWEEN_LINES = 0.5
SECONDS_BETWEEN_TRANSFERS = 5.0
BAR, NAME, COUNT, TIME = 20, 20, 7, 7
"""Terminal columns of the parts of a bar: at most for the name, at least for the others."""


class Screen:
    """The screen that a display draws on; this one stays empty."""

    def line(self, text: str) -> None:
        """Print a line that remains."""

    def bar(self, what: str, done: float, total: float | None, text: str = "") -> None:
        """Show the progress of ``what``; a screen that can't redraw omits it."""

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Show the progress of a download (bytes) or of decoding (images)."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Display:
    """Listens to a run and shows it; a context manager that closes its screen."""

    def __init__(self, screen: Screen, *, verbosity: int = 0, redraws: bool = False) -> None:
        self.screen, self.verbosity, self.redraws = screen, verbosity, redraws
        self._stage: StageStarted | None = None
        self._epochs = 0
        self._reported = 0
        self._step = 0
        self._stage_epoch = 0
        self._held: list[Evaluated | Warned] = []
        self._last_line = float("-inf")

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        self.screen.close()

    def started(self, run: Run) -> None:
        """Print the first line of a run that begins or continues."""
        self.expect(run.epochs_planned)
        name = f" '{run.name}'" if run.name else ""
        self.screen.line(
            f"run {run.id}{name}: {run.model} on {run.dataset}, "
            f"{counted(run.epochs_planned, 'epoch')}, "
            f"{run.parameters or 0:,} parameters, seed {run.seed}, {run.device} {run.precision}"
        )

    def expect(self, epochs: int) -> None:
        """Count epochs up to this number, in all stages."""
        self._epochs = epochs

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """The progress of a `DataAccess`."""
        self.screen.transfer(what, done, total)

    def __call__(self, event: Event) -> None:
        """Show an event, or keep it until its checkpoint is safe."""
        match event:
            case StageStarted():
                self._begin(event)
            case StepsDone():
                self._advance(event.step)
            case Evaluated():
                self._held.append(event)
                self._show_held()
            case Warned():
                self._held.append(event)
            case Checkpointed():
                self._report(event)
            case Noticed():
                self.screen.line(event.message)
            case Resumed():
                self._reported, self._step = event.epoch, event.step
                done = f"step {event.step} (epoch {event.epoch})"
                self.screen.line(f"continuing after {done}" if event.step else "starting again")

    def _begin(self, stage: StageStarted) -> None:
        self._stage = stage
        self._stage_epoch = max(0, self._reported - stage.first_epoch + 1)
        prepared = f", prepared in {duration(stage.prepare_s)}" if stage.prepare_s else ""
        self.screen.line(
            f"stage {stage.stage}: {counted(stage.epochs, 'epoch')} of "
            f"{counted(stage.steps_per_epoch, 'step')}"
            f"{prepared}"
        )

    def _advance(self, step: int) -> None:
        if self._stage is not None:
            within = (step - self._step) / max(1, self._stage.steps_per_epoch)
            done = self._stage_epoch + min(1.0, max(0.0, within))
            self.screen.bar(self._stage.stage, done, self._stage.epochs)

    def _report(self, checkpoint: Checkpointed) -> None:
        done = checkpoint.epoch_done
        if done is not None:
            self._reported, self._step = done.epoch, done.step
            self._stage_epoch = done.stage_epoch
            self._show_epoch(done)
            self._show_held()

    def _show_epoch(self, done: EpochDone) -> None:
        total = self._stage.epochs if self._stage is not None else done.stage_epoch
        losses = losses_in_words(done.losses, every_term=self.verbosity > 0)
        self.screen.bar(done.stage, done.stage_epoch, total, losses)
        ends = done.stage_epoch == total
        now = time.monotonic()
        rested = now - self._last_line >= SECONDS_BETWEEN_LINES
        if ends or (not self.redraws and (done.stage_epoch == 1 or rested)):
            self._last_line = now
            of = f"{done.epoch:>{len(str(self._epochs))}}/{self._epochs}"
            self.screen.line(f"epoch {of}  {done.stage}  {losses}  {duration(done.train_s)}")

    def _show_held(self) -> None:
        safe = [held for held in self._held if held.epoch <= self._reported]
        self._held = [held for held in self._held if held not in safe]
        for held in safe:
            if isinstance(held, Warned):
                self.screen.line(f"warning after epoch {held.epoch}: {held.message}")
            else:
                self._show_scores(held)

    def _show_scores(self, evaluated: Evaluated) -> None:
        scores = ", ".join(f"{s.metric} {_measured(s)}" for s in evaluated.scores)
        if scores:
            of = f" ({evaluated.sampler})" if evaluated.sampler else ""
            self.screen.line(f"scores after epoch {evaluated.epoch}{of}: {scores}")
            if evaluated.exactness:
                self.screen.line(f"{evaluated.sampler}: {evaluated.exactness}")
        for metric, reason in evaluated.skipped.items():
            self.screen.line(f"no {metric}: {reason}")


def _measured(score: Score) -> str:
    return measured(score.value, score.std, score.draws)


def open_display(verbosity: int, stream: TextIO | None = None) -> Display:
    """The display that suits stderr: silent with -q, a bar on a terminal, else plain lines."""
    stream = stream or sys.stderr
    if verbosity < 0:
        return Display(Screen(), verbosity=verbosity)
    if stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
        return Display(BarScreen(), verbosity=verbosity, redraws=True)
    return Display(PlainScreen(stream), verbosity=verbosity)


class PlainScreen(Screen):
    """Lines in a log file or pipe, no control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._transferred: dict[str, float] = {}

    def line(self, text: str) -> None:
        """Print it."""
        print(plain(text), file=self._stream, flush=True)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """A line at the first call, every few seconds and at the end."""
        now, ends = time.monotonic(), total is not None and done >= total
        last = self._transferred.get(what)
        if last is None or ends or now - last >= SECONDS_BETWEEN_TRANSFERS:
            self._transferred[what] = float("inf") if ends else now
            if last != float("inf"):
                self.line(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))


class BarScreen(Screen):
    """Bars that are redrawn, by rich; imported here and nowhere else. NO_COLOR is honoured."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        # On a narrow terminal the losses are cut first, then the name; bar, count and time remain.
        whole = Column(no_wrap=True, min_width=BAR)
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            BarColumn(bar_width=BAR, table_column=whole),
            TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True, min_width=COUNT)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=TIME)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=NAME)),
            TextColumn("{task.fields[text]}", table_column=rest),
            console=Console(stderr=True, highlight=False),
            transient=True,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def line(self, text: str) -> None:
        """Print it above the bars."""
        self._progress.console.print(plain(text), markup=False)

    def bar(self, what: str, done: float, total: float | None, text: str = "") -> None:
        """Redraw the bar of a stage; the text stays until another is given."""
        task = self._task(what, total)
        count = f"{int(done):,}/{total:,.0f}" if total else f"{int(done):,}"
        shown = total is None or done < total
        self._progress.update(task, completed=done, total=total, visible=shown, count=count)
        if text:
            self._progress.update(task, text=text)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Redraw the bar of a download or of decoding."""
        self.bar(what, done, total)

    def close(self) -> None:
        """Stop redrawing and show the cursor."""
        self._progress.stop()

    def _task(self, what: str, total: float | None) -> TaskID:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, count="", text="")
        return self._tasks[what]
