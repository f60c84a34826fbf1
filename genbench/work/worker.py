"""A worker: it claims tasks from the queue of a store and runs their commands as child processes.

The worker holds the lease of its tasks by a heartbeat. If the worker is killed, its children finish
what they do, and the heartbeat of their runs holds the lease; if they are gone too, another worker
resumes the run. States come from the store only: no launcher or scheduler is asked.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.errors import (
    DiskFullError,
    GenbenchError,
    InterruptedRunError,
    StoreError,
    UsageError,
)
from genbench.store import Run, Status, Store, claims
from genbench.store.claimed_task import CLAIM
from genbench.store.process import HEARTBEAT_S
from genbench.store.tasks import Task, runs_made_by, work_left
from genbench.work.children import POLL_S, Child, Command, Ended
from genbench.work.next_command import next_command
from genbench.work.slots import Slot
from genbench.work.spool import Spool

IDLE_S = 1.0
"""Seconds between two looks into a queue that had no task to claim."""

GONE_S = 60.0
"""Seconds without the store after which a worker gives up."""

LEAST_FREE = 1 << 18
"""Bytes that must be free in the folder of the runs; no command can work with less."""

KEPT = ("run", "epochs", "pace")
"""The parts of a command's answer that the queue keeps."""


@dataclass
class _Job:
    """A claimed task with its child; ``kept`` is false when the task was taken away.

    ``noted``: the spool knows which runs the child has made.
    """

    slot: Slot
    task: Task
    child: Child
    kept: bool = True
    stopped: bool = False
    spooled: bool = False
    noted: bool = False

    def stop(self) -> None:
        """Ask the child to stop with a checkpoint."""
        self.stopped = True
        self.child.ask_to_stop()


@dataclass(kw_only=True)
class Worker:
    """Carries out the tasks of a store, or those of one ``batch``, one in each slot at a time.

    ``environ`` is added to the environment of its children. ``started(task, words)`` and
    ``ended(task, end)`` are told of each command; ``say`` gets sentences about the store.
    """

    url: str
    slots: Sequence[Slot]
    should_stop: Callable[[], bool]
    batch: str | None = None
    until_empty: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    started: Callable[[Task, Sequence[str]], None] = lambda task, words: None
    ended: Callable[[Task, Ended], None] = lambda task, end: None
    say: Callable[[str], None] = lambda text: None
    patience: float = GONE_S
    spool: Spool | None = None

    def work(self) -> None:
        """Work until the queue is empty, or forever.

        Raises InterruptedRunError after a stop: the tasks are back in the queue. Raises StoreError
        if the store can't be reached for a minute, and DiskFullError if there is no space.
        """
        self._jobs: list[_Job] = []
        self._ends: dict[int, Ended] = {}
        self._beaten = self._looked = self._recovered = float("-inf")
        self._reached, self._told = time.monotonic(), False
        # Without an end, the tasks may come later.
        with Store.open(self.url, mode="write" if self.until_empty else "create") as self._store:
            try:
                if self.spool is not None:
                    self.spool.prepare()
                    self.spool.take_in(self._store)
                while self._once():
                    time.sleep(POLL_S)
            except StoreError as error:
                if self.spool is not None and self.spool.path.exists() and not error.hint:
                    error.hint = (
                        f"What was trained is in {self.spool.path}; to take it in later: genbench "
                        f"store merge {self.spool.path}"
                    )
                raise
            finally:
                self._end_all()

    def _once(self) -> bool:
        """One look at everything; False if the work is over."""
        stopping = self.should_stop()
        for job in self._jobs if stopping else ():
            job.stop()
        try:
            self._read_ends()
            self._beat()
            self._settle()
            if stopping and not self._jobs:
                raise InterruptedRunError("the worker was stopped; its tasks are in the queue")
            goes_on = bool(self._jobs) if stopping else self._fill()
        except DiskFullError:
            raise
        except StoreError as error:
            self._bear(error)
            return True
        self._reached, self._told = time.monotonic(), False
        return goes_on or stopping

    def _bear(self, error: StoreError) -> None:
        """Wait for a store that can't be reached; raise the error when that takes too long."""
        spooling = any(job.spooled and not job.child.has_ended() for job in self._jobs)
        if time.monotonic() - self._reached > self.patience and not spooling:
            raise error
        if not self._told:
            first = "Runs here go on. " if spooling else ""
            self.say(
                f"{error} {first}Waiting for {self.patience:g} s until it can be reached again"
            )
            self._told = True
        time.sleep(IDLE_S)

    def _beat(self) -> None:
        if not self._jobs or time.monotonic() - self._beaten < HEARTBEAT_S:
            return
        kept = claims.beat(self._store, [job.task for job in self._jobs])
        self._beaten = time.monotonic()
        for job in self._jobs:
            if job.kept and job.task.number not in kept:
                job.kept = False
                job.stop()
                task = job.task
                self.say(
                    f"task {task.number}, {task.title}: stops, because it was cancelled, paused or "
                    "given to another worker"
                )

    # --- claiming

    def _fill(self) -> bool:
        """Claim tasks for the slots that are free; False if the queue is empty and that ends it."""
        now = time.monotonic()
        if now - self._looked < IDLE_S:
            return True
        if now - self._recovered >= HEARTBEAT_S:
            claims.recover(self._store, self.batch)
            self._recovered = now
        free = list(self.slots)
        for job in self._jobs:
            free.remove(job.slot)
        for slot in free:
            while not self._claim(slot):
                pass
        self._looked = now
        return bool(self._jobs) or not self.until_empty or self._is_work_left()

    def _claim(self, slot: Slot) -> bool:
        """Claim a task for a slot; True if it has one now, or if there is none."""
        task = claims.claim(self._store, slot.kinds, self.batch)
        return task is None or self._next(slot, task) is not None

    def _is_work_left(self) -> bool:
        kinds = {kind for slot in self.slots for kind in slot.kinds}
        return work_left(self._store, sorted(kinds), self.batch)

    def _next(self, slot: Slot, task: Task, end: Ended | None = None) -> Child | None:
        """Start the next command of a claimed task; None if it has none."""
        runs = [self._store.run(run_id) for run_id in runs_made_by(self._store, task)]
        if alive := [run for run in runs if run.status is Status.RUNNING]:
            claims.give_to(self._store, task, alive[0].id)
            return None
        try:
            answers = claims.answers_of_parents(self._store, task)
            words = next_command(task, runs, answers, ended=end is not None)
        except UsageError as error:
            claims.fail(self._store, task, str(error))
            return None
        if words is None:
            self._done(task, runs, end)
            return None
        child = self._start(slot, task, words)
        spooled = self.spool is not None and self.spool.takes(words)
        self._jobs.append(_Job(slot=slot, task=task, child=child, spooled=spooled))
        self.started(task, words)
        return child

    def _done(self, task: Task, runs: Sequence[Run], end: Ended | None) -> None:
        answer: dict[str, Any] = {"run": runs[0].id} if len(runs) == 1 else {}
        answer |= {key: end.answer[key] for key in KEPT if end and key in end.answer}
        if claims.done(self._store, task, answer):
            command = self._command(task, ())
            self.ended(
                task, end or Ended(command=command, code=0, answer=answer, error="", seconds=0.0)
            )

    def _start(self, slot: Slot, task: Task, words: Sequence[str]) -> Child:
        command = self._command(task, (*words, *slot.flags(task.device)))
        try:
            return Child(command)
        except OSError as error:
            claims.release(self._store, task)
            raise DiskFullError(
                f"the log {command.log} can't be written: {error.strerror or error}; the task is "
                "back in the queue"
            ) from error

    def _command(self, task: Task, words: Sequence[str]) -> Command:
        environ = {**self.environ, "GENBENCH_STORE": self.url, CLAIM: task.claim}
        if self.spool is not None and words and self.spool.takes(words):
            environ |= self.spool.environ
        return Command(
            title=task.title,
            arguments=tuple(words),
            log=log_of(self._store.runs_folder, task.batch, task.title),
            threads=task.threads,
            environ=environ,
        )

    # --- what came of it

    def _read_ends(self) -> None:
        """Read how commands ended; the spool is told its runs at once, as it needs no server."""
        for job in self._jobs:
            if job.task.number not in self._ends and job.child.has_ended():
                self._ends[job.task.number] = job.child.result()
            end = self._ends.get(job.task.number)
            if self.spool is not None and job.spooled and end and end.code == 0 and not job.noted:
                self.spool.keep(job.task, end.answer)
                job.noted = True

    def _settle(self) -> None:
        """Store how commands ended; what can't be stored now is tried again later."""
        for job in [job for job in self._jobs if job.task.number in self._ends]:
            end = self._ends[job.task.number]
            if self.spool is not None and job.noted:
                self.spool.take_in(self._store)
            if job.kept:
                self._settle_one(job, end)
            self._forget(job)

    def _settle_one(self, job: _Job, end: Ended) -> None:
        task = job.task
        if end.code == 0:
            if self._next(job.slot, task, end) is None:
                self._looked = float("-inf")  # its children may be ready now
        elif job.stopped or end.code == 130:
            claims.release(self._store, task)
        elif end.code == StoreError.exit_code and self._is_full(end):
            claims.release(self._store, task)
            self._forget(job)
            raise DiskFullError(
                f"no space is left in {self._store.runs_folder}; {task.title} is back in the "
                "queue, and continues from its checkpoint. Free some space",
                hint="To continue: genbench work",
            )
        elif end.code < 0 or end.code == StoreError.exit_code:
            claims.release(self._store, task, end.reason)
            self._looked = time.monotonic()  # whatever it was may last for a moment
        elif not self._given_away(task):
            claims.fail(self._store, task, end.reason, _kept(end.answer))
            self.ended(task, end)
            self._looked = float("-inf")

    def _is_full(self, end: Ended) -> bool:
        """Whether a command ended because the disk is full; its log may lack the words then."""
        free = shutil.disk_usage(self._store.runs_folder).free
        return "no space is left" in end.error or free < LEAST_FREE

    def _given_away(self, task: Task) -> bool:
        """Whether another process works on the run of a task, which then has its lease."""
        for run_id in runs_made_by(self._store, task):
            if self._store.run(run_id).status is Status.RUNNING:
                return claims.give_to(self._store, task, run_id)
        return False

    def _forget(self, job: _Job) -> None:
        self._ends.pop(job.task.number, None)
        self._jobs = [other for other in self._jobs if other is not job]

    def _end_all(self) -> None:
        """End what still runs, and put its tasks back into the queue if the store allows it."""
        for job in self._jobs:
            job.child.end_now()
        for job in self._jobs:
            with suppress(GenbenchError):
                claims.release(self._store, job.task)


def _kept(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: answer[key] for key in KEPT if key in answer}


def log_of(folder: Path, batch: str, title: str) -> Path:
    """The log of a task: ``study-digits/logs/vae-on-digits-seed-0.log`` in the folder of runs."""
    name = re.sub(r"[^\w.+-]+", "-", title).strip("-").lower()
    return folder / batch.replace(":", "-") / "logs" / f"{name}.log"
