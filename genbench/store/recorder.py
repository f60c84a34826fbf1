"""The recorder: a listener that writes what the engine tells into the store.

Losses of steps are gathered and written each second or 500 rows, by a thread of its own, so that
training doesn't wait. Everything else is committed before the call returns: an epoch that was
reported is in the file. The thread also says every few seconds that the run is alive.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from genbench.errors import GenbenchError, UsageError
from genbench.events import (
    ArtifactMade,
    Checkpointed,
    Checkpointing,
    EpochDone,
    Evaluated,
    Event,
    Resumed,
    RunFailed,
    StageStarted,
    StepsDone,
    Warned,
)
from genbench.store.process import HEARTBEAT_S
from genbench.store.records import Status
from genbench.store.runs import number_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.store import Store

FLUSH_S = 1.0
FLUSH_ROWS = 500


class Recorder:
    """Records one running run: ``with Recorder(store, id) as recorder: train(..., emit=recorder)``.

    It doesn't end the run: that is `Store.finish`, or `Store.fail`, after it. What its thread
    couldn't write (StoreError, DiskFullError) is raised by the next call.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        if store.run(run_id).status is not Status.RUNNING:
            raise UsageError(f"run {run_id} is not running; nothing can be recorded in it")
        self.store, self.run_id = store, run_id
        self._run = number_of(store, run_id)
        self._gathered: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._rows = 0
        self._gathering, self._writing = threading.Lock(), threading.RLock()
        self._wake, self._closing = threading.Event(), False
        self._failure: GenbenchError | None = None
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
            self._write()
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

    def _gather(self, event: StepsDone) -> None:
        with self._gathering:
            for key, values in event.series.items():
                self._gathered[key] += values
                self._rows += len(values)
            full = self._rows >= FLUSH_ROWS
        if full and self._thread.is_alive():
            self._wake.set()
        elif full:
            self._write()

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
                self._write()
            case Checkpointed():
                self._write(lambda c: journal.note_checkpoint(c, run, event))
            case Resumed():
                self._write(lambda c: journal.rewind(c, run, step=event.step, epoch=event.epoch))
            case RunFailed():
                self._write()
                self.store.fail(self.run_id, event.error, kind=event.kind)

    def _write(self, also: Callable[[Connection], Any] | None = None) -> None:
        """Commit what was gathered and one thing more, in one transaction."""
        from genbench.store import journal

        with self._writing:
            with self._gathering:
                gathered, self._gathered = self._gathered, defaultdict(list)
                self._rows = 0
            if not gathered and also is None:
                return
            with self.store.transaction() as connection:
                if gathered:
                    journal.add_points(connection, self._run, gathered)
                if also is not None:
                    also(connection)

    def _work(self) -> None:
        beat = time.monotonic()
        while not self._closing and self._failure is None:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            try:
                self._write()
                if time.monotonic() - beat >= HEARTBEAT_S:
                    self.store.heartbeat(self.run_id)
                    beat = time.monotonic()
            except GenbenchError as error:
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
