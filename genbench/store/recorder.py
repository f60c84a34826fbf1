"""The recorder: a listener that writes the events of the engine to the store.

Losses of steps are collected, and written every second or 500 rows by a separate thread, so that
training doesn't wait. Everything else is committed before the call returns, so that a reported
epoch is in the file. The thread also updates the heartbeat of the run every few seconds.

While another process holds the lock of the store, losses are kept in memory and the training goes
on. Other events (the end of an epoch, a checkpoint, a score), and losses of more than about 60 MB,
wait until the lock is free, with notices to the user; a stop request ends the wait. Nothing is
dropped.
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
from genbench.store.failures import Patience, up_to
from genbench.store.process import HEARTBEAT_S
from genbench.store.records import Status
from genbench.store.runs import number_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.store import Store

FLUSH_S = 1.0
FLUSH_ROWS = 500
HELD_ROWS = 500_000
"""The maximum rows kept while the store is locked [120 bytes each]; then training waits too."""
NOTICE_S = 5.0
"""Seconds of waiting before the first notice; another one follows each time the wait doubles."""


class Recorder:
    """Records one running run: ``with Recorder(store, id) as recorder: train(..., emit=recorder)``.

    Only `finish` ends the run; after an error, call `Store.fail`. An error of the thread
    (StoreError, DiskFullError) is raised by the next call. If another process has taken over the
    run, nothing more is written, and TakenOverError is raised.

    ``tell`` gets notices about what the recorder is waiting for. ``should_stop`` is called while it
    waits; a stop raises InterruptedRunError.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        tell: Listener = lambda event: None,
        should_stop: ShouldStop = never,
    ) -> None:
        if store.run(run_id).status is not Status.RUNNING:
            raise UsageError(f"run {run_id} is not running, so nothing can be recorded")
        self.store, self.run_id = store, run_id
        self._tell, self._should_stop = tell, should_stop
        self._run = number_of(store, run_id)
        self._collected: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._rows = 0
        self._collecting, self._writing = threading.Lock(), threading.RLock()
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
            self._write(patience=None if kind is None else up_to(FLUSH_S))
        except GenbenchError:
            # After an error of the run, that error is reported, not the loss of its last points.
            if kind is None:
                raise

    def __call__(self, event: Event) -> None:
        """Record an event. Raises StoreError or DiskFullError if it can't be written."""
        self._raise_failure()
        if isinstance(event, StepsDone):
            self._collect(event)
        else:
            self._record(event)

    def finish(self) -> None:
        """Write the remaining losses, and mark the run as finished: it never changes again."""
        from genbench.store import lifecycle

        self._raise_failure()
        self._write_with_files(lambda c: lifecycle.end(c, self.run_id, Status.FINISHED))

    def _collect(self, event: StepsDone) -> None:
        with self._collecting:
            for key, values in event.series.items():
                self._collected[key] += values
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
                # The owner of the run must be checked even if there is nothing to write.
                self._write(lambda c: None)
            case Checkpointed():
                # A checkpoint counts when it is where every machine finds it.
                self._write_with_files(lambda c: journal.note_checkpoint(c, run, event))
            case Resumed():
                self._write(lambda c: journal.rewind(c, run, step=event.step, epoch=event.epoch))
            case RunFailed():
                self._write()
                self.store.fail(self.run_id, event.error, kind=event.kind)

    def _write_with_files(self, statements: Callable[[Connection], None]) -> None:
        """Upload the files of the run; they count if this process still owns it."""
        commit = self.store.upload(self.run_id)

        def both(connection: Connection) -> None:
            commit()
            statements(connection)

        self._write(both)

    def _write(
        self,
        also: Callable[[Connection], Any] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Commit the collected losses and the statements of ``also`` in one transaction."""
        from genbench.store import journal, lifecycle

        with self._writing:
            with self._collecting:
                collected, self._collected = self._collected, defaultdict(list)
                self._rows = 0
            if not collected and also is None:
                return
            try:
                with self.store.transaction(patience or self._wait()) as connection:
                    lifecycle.check_owner(connection, self.run_id)
                    if collected:
                        journal.add_points(connection, self._run, collected)
                    if also is not None:
                        also(connection)
            except BaseException:
                self._put_back(collected)
                raise

    def _put_back(self, collected: defaultdict[str, list[tuple[int, float]]]) -> None:
        """Put losses that weren't written before those that were collected meanwhile."""
        with self._collecting:
            for key, values in self._collected.items():
                collected[key] += values
            self._collected = collected
            self._rows = sum(map(len, collected.values()))

    def _wait(self) -> Patience:
        """A patience without a limit, with notices to the user; it ends with a stop request."""
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
                        message=f"waiting for the store {self.store}, which another process has "
                        f"locked for {duration(waited)}; nothing is lost, Ctrl-C stops the run"
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
                    self._write(lambda c: lifecycle.heartbeat(c, self.run_id), up_to(FLUSH_S))
                    beat = time.monotonic()
                else:
                    self._write(patience=up_to(FLUSH_S))
            except LockedError:
                continue  # the losses are kept, and written later
            except Exception as error:  # any error ends the thread, and is raised by the next call
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
