"""The recorder: a listener that writes what the engine tells into the store.

Losses of steps are gathered and written each second or 500 rows, by a thread of its own, so that
training doesn't wait. Everything else is committed before the call returns: an epoch that was
reported is in the file. The thread also says every few seconds that the run is alive.

While another process holds the store's lock, losses are kept in memory and the training goes on.
What must be committed waits, however long, tells so, and is left by a stop: the end of an epoch, a
checkpoint, a score, and losses when there are more than fit in some 60 MB. Nothing is dropped.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from genbench.errors import GenbenchError, InterruptedRunError, LockedError, UsageError
from genbench.events import (
    ArtifactMade,
    Checkpointed,
    Checkpointing,
    EpochDone,
    Evaluated,
    Event,
    Listener,
    Noticed,
    Resumed,
    RunFailed,
    ShouldStop,
    StageStarted,
    StepsDone,
    Warned,
    never,
)
from genbench.formatting import duration
from genbench.store.process import HEARTBEAT_S
from genbench.store.records import Status
from genbench.store.runs import number_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.database import Patience
    from genbench.store.store import Store

FLUSH_S = 1.0
FLUSH_ROWS = 500
HELD_ROWS = 500_000
"""So many rows are kept while the store is locked [120 bytes each]; then training waits too."""
NOTICE_S = 5.0
"""Seconds of waiting before the first notice; the next come whenever the wait has doubled."""


def nobody(event: Event) -> None:
    """Nobody listens."""


class Recorder:
    """Records one running run: ``with Recorder(store, id) as recorder: train(..., emit=recorder)``.

    Only `finish` ends the run; an error is noted by `Store.fail`, after it. What its thread
    couldn't write (StoreError, DiskFullError) is raised by the next call. Where the run was taken
    over by another process, nothing is written any more: TakenOverError.

    ``tell`` hears what the recorder waits for; ``should_stop`` is asked while it waits, and a stop
    ends the wait by InterruptedRunError.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        tell: Listener = nobody,
        should_stop: ShouldStop = never,
    ) -> None:
        if store.run(run_id).status is not Status.RUNNING:
            raise UsageError(f"run {run_id} is not running; nothing can be recorded in it")
        self.store, self.run_id = store, run_id
        self._tell, self._should_stop = tell, should_stop
        self._run = number_of(store, run_id)
        self._gathered: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._rows = 0
        self._gathering, self._writing = threading.Lock(), threading.RLock()
        self._wake, self._closing = threading.Event(), False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join()
        try:
            self._raise_failure()
            self._write(patience=None if kind is None else _briefly)
        except GenbenchError:
            # What ended the run is the error to tell, not that its last losses are missing too.
            if kind is None:
                raise

    def __call__(self, event: Event) -> None:
        """Take an event. Raises StoreError or DiskFullError where it can't be written."""
        self._raise_failure()
        if isinstance(event, StepsDone):
            self._gather(event)
        else:
            self._record(event)

    def finish(self) -> None:
        """Write what is left, and that the run is done; from now on it is never changed."""
        from genbench.store import lifecycle

        self._raise_failure()
        self._write(lambda c: lifecycle.end(c, self.run_id, Status.FINISHED))

    def _gather(self, event: StepsDone) -> None:
        with self._gathering:
            for key, values in event.series.items():
                self._gathered[key] += values
                self._rows += len(values)
            rows = self._rows
        alive = self._thread.is_alive()
        if rows >= HELD_ROWS or (rows >= FLUSH_ROWS and not alive):
            self._write()
        elif rows >= FLUSH_ROWS:
            self._wake.set()

    def _record(self, event: Event) -> None:
        from genbench.store import journal, scoring
        from genbench.store.artifact import describe

        run = self._run
        match event:
            case StageStarted():
                self._write(lambda c: journal.start_stage(c, run, event))
            case EpochDone():
                self._write(lambda c: journal.add_epoch(c, run, event))
            case Evaluated():
                self._write(lambda c: scoring.add_evaluation(c, run, event, origin=scoring.RUN))
            case ArtifactMade():
                row = describe(event.kind, event.path, event.epoch, self.store.folder(self.run_id))
                self._write(lambda c: journal.add_artifact(c, run, row))
            case Warned():
                self._write(lambda c: journal.add_warning(c, run, event))
            case Checkpointing():
                self._write(
                    lambda c: None
                )  # the run's owner must be checked even if nothing is new
            case Checkpointed():
                self._write(lambda c: journal.note_checkpoint(c, run, event))
            case Resumed():
                self._write(lambda c: journal.rewind(c, run, step=event.step, epoch=event.epoch))
            case RunFailed():
                self._write()
                self.store.fail(self.run_id, event.error, kind=event.kind)

    def _write(
        self,
        also: Callable[[Connection], Any] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Commit what was gathered and one thing more, in one transaction of the run's process."""
        from genbench.store import journal, lifecycle

        with self._writing:
            with self._gathering:
                gathered, self._gathered = self._gathered, defaultdict(list)
                self._rows = 0
            if not gathered and also is None:
                return
            try:
                with self.store.transaction(patience or self._wait()) as connection:
                    lifecycle.check_owner(connection, self.run_id)
                    if gathered:
                        journal.add_points(connection, self._run, gathered)
                    if also is not None:
                        also(connection)
            except BaseException:
                self._put_back(gathered)
                raise

    def _put_back(self, gathered: defaultdict[str, list[tuple[int, float]]]) -> None:
        """Keep what wasn't written, before what came since."""
        with self._gathering:
            for key, values in self._gathered.items():
                gathered[key] += values
            self._gathered = gathered
            self._rows = sum(map(len, gathered.values()))

    def _wait(self) -> Patience:
        """A patience without end, that tells of the wait and ends with a stop."""
        noticed = 0.0

        def go_on(waited: float) -> bool:
            nonlocal noticed
            if self._should_stop():
                raise InterruptedRunError(
                    f"stopped while the store {self.store} was locked by another process",
                    hint="To resume from the last checkpoint: genbench resume RUN",
                )
            if waited >= max(NOTICE_S, 2 * noticed):
                noticed = waited
                self._tell(
                    Noticed(
                        message=f"waiting for the store {self.store}: another process has held its "
                        f"lock for {duration(waited)}; nothing is lost, Ctrl-C stops the run"
                    )
                )
            return True

        return go_on

    def _work(self) -> None:
        from genbench.store import lifecycle

        beat = time.monotonic()
        while not self._closing and self._failure is None:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            due = time.monotonic() - beat >= HEARTBEAT_S
            try:
                if due:
                    self._write(lambda c: lifecycle.heartbeat(c, self.run_id), _briefly)
                    beat = time.monotonic()
                else:
                    self._write(patience=_briefly)
            except LockedError:
                continue  # kept, and tried again
            except Exception as error:
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _briefly(waited: float) -> bool:
    """The patience of what is tried again anyway, and of a run that ended."""
    return waited < FLUSH_S
