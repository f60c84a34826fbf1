"""A study with workers that a launcher starts: this process only watches the queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from genbench.errors import InterruptedRunError
from genbench.formatting import counted
from genbench.store import Store, claims
from genbench.store.tasks import Task, TaskState, counts, select_tasks, work_left
from genbench.work import Launcher, WorkOrder

LOOK_S = 1.0
"""Seconds between two looks at the queue."""

QUIET_S = 60.0
"""Seconds without a task that runs, after which the user is told."""


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A launcher and the workers that it is to start."""

    launcher: Launcher
    order: WorkOrder

    def script(self) -> str:
        """What would be started."""
        return self.launcher.script(self.order)

    def work(
        self,
        store: Store,
        batch: str,
        *,
        should_stop: Callable[[], bool],
        ended: Callable[[Task], None],
        withdraw: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        """Start the workers and wait until the batch is empty; ``ended`` gets each task once.

        On an error, ``withdraw`` takes the tasks out of the queue before the launcher stops, which
        may wait for its workers. Raises InterruptedRunError on a stop.
        """
        told = {task.number for task in _ended(store, batch)}
        say(self.launcher.start(self.order))
        began, warned = time.monotonic(), False
        try:
            while work_left(store, batch=batch):
                _tell(store, batch, told, ended)
                if should_stop():
                    raise InterruptedRunError("the study was stopped")
                claims.recover(store, batch)
                found = counts(store, batch)
                if found.get(TaskState.RUNNING):
                    began = time.monotonic()
                elif time.monotonic() - began > QUIET_S and not warned:
                    warned = True
                    waiting = counted(found.get(TaskState.QUEUED, 0), "task")
                    say(
                        f"no worker has taken any of {waiting} for {QUIET_S:g} s; the logs of the "
                        f"workers are in {self.order.folder}"
                    )
                time.sleep(LOOK_S)
            _tell(store, batch, told, ended)
        except BaseException:
            withdraw()
            raise
        finally:
            self.launcher.stop()


def _tell(store: Store, batch: str, told: set[int], ended: Callable[[Task], None]) -> None:
    """Tell of the tasks that have ended since the last call."""
    for task in _ended(store, batch):
        if task.number not in told:
            told.add(task.number)
            ended(task)


def _ended(store: Store, batch: str) -> list[Task]:
    states = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
    return select_tasks(store, batch=batch, states=states)
