"""Execute a study: enqueue what is missing, and work until nothing of it is left.

All results are in the store, so the same call continues a study that was stopped. Workers on other
machines may help: what they do counts as if it had been done here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from genbench.errors import GenbenchError, InterruptedRunError, UsageError
from genbench.formatting import counted, duration, number
from genbench.store import Store
from genbench.store.enqueuing import enqueue, set_state
from genbench.store.records import Run, Status
from genbench.store.tasks import OPEN, Task, TaskState, runs_made_by, select_tasks
from genbench.study.grid import book_of, read_paces
from genbench.study.launched import Launched
from genbench.study.outcome import Outcome, Places
from genbench.study.pace import Pace
from genbench.study.plan import Entry, Plan
from genbench.study.planned_tasks import PlannedTasks, planned_tasks
from genbench.study.seed_groups import Group, parts
from genbench.study.tasks import pace_identity
from genbench.work import Ended, Slot, Worker, check_devices, slots_for

SEVERAL = 2
"""The number of workers that a study is enqueued for: there may be more than one."""


def enqueue_study(plan: Plan, places: Places, *, retry: bool = False, priority: int = 0) -> int:
    """Enqueue what is missing of a plan for workers anywhere; return the number of new tasks.

    Raises UsageError as `execute`.
    """
    with Store.open(places.store, mode="create") as store:
        paces = read_paces(plan, places, store)
        found = planned_tasks(plan, store, paces, workers=SEVERAL, retry=retry)
        tasks = [replace(task, priority=priority) for task in found.tasks]
        return len(enqueue(store, tasks, retry=True))


def execute(
    plan: Plan,
    places: Places,
    *,
    jobs: int | None = None,
    retry: bool = False,
    launched: Launched | None = None,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Outcome:
    """Execute what is missing of a plan, ``jobs`` commands at a time; ``say`` gets progress lines.

    Without ``jobs``, one command runs at a time, or one on each GPU if there are several. With
    ``launched``, other workers do it and this process watches them. With ``retry``, failed runs and
    evaluations are started again. Raises InterruptedRunError if ``should_stop`` returned true, and
    UsageError if a budget is too small or another process executes one of the runs.
    """
    devices = [] if plan.device == "auto" else [plan.device]
    if launched is None:
        check_devices(devices, os.environ)
    slots = slots_for(devices, launched.order.count if launched else jobs, os.environ)
    with Store.open(places.store, mode="create") as store:
        work = _Work(plan, places, slots, retry, launched, should_stop, say, store)
        while work.enqueue():
            work.work()
        return work.outcome


@dataclass
class _Work:
    """The state of one call of `execute`: rounds of enqueuing and working, until one is empty."""

    plan: Plan
    places: Places
    slots: Sequence[Slot]
    retry: bool
    launched: Launched | None
    should_stop: Callable[[], bool]
    say: Callable[[str], None]
    store: Store
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self.tried: set[str] = set()
        self.groups: dict[str, Group] = {}
        self.done, self.total, self.began = 0, 0, time.monotonic()
        self.spent: list[float] = []
        self.measured = {pace_identity(self.plan, entry): entry for entry in self.plan.entries}

    def enqueue(self) -> bool:
        """Enqueue what is missing and wasn't tried yet; False if there is nothing."""
        paces = read_paces(self.plan, self.places, self.store)
        found = planned_tasks(
            self.plan, self.store, paces, workers=len(self.slots), retry=self.retry
        )
        if not self.tried:
            self._tell_beginning(found)
        new = [task for task in found.tasks if task.identity not in self.tried]
        self.mine = enqueue(self.store, new, retry=True)
        self.groups = {i: g for i, g in found.groups.items() if i not in self.tried}
        self.round = {task.identity for task in new}
        self.tried |= self.round
        self.total += sum(len(self.groups.get(task.identity, (1,))) for task in new)
        return bool(new)

    def _tell_beginning(self, found: PlannedTasks) -> None:
        self.outcome.reused, self.outcome.failed = len(found.reused), len(found.failed)
        for planned in found.failed:
            if planned.source is not None and planned.source_run is None:
                self._lacks_source(planned.title)
        if found.reused:
            self.say(f"{counted(len(found.reused), 'run')} found in the store")
        pilots = sum(task.command[0] == "pace" for task in found.tasks)
        if pilots:
            self.say(f"{counted(pilots, 'pilot')}, to measure how long an epoch takes")

    def work(self) -> None:
        """Work until the batch of this study is empty, then count what came of it."""
        try:
            self._work()
        except BaseException as error:
            self._withdraw()
            if isinstance(error, InterruptedRunError):
                raise InterruptedRunError(
                    "the study was interrupted; its results so far are in the store, and the same "
                    "command continues from there"
                ) from None
            raise
        self._count()

    def _work(self) -> None:
        if self.launched is not None:
            self.launched.work(
                self.store,
                self.plan.tag,
                should_stop=self.should_stop,
                ended=self._ended_elsewhere,
                withdraw=self._withdraw,
                say=self.say,
            )
            return
        Worker(
            url=self.places.store,
            slots=self.slots,
            should_stop=self.should_stop,
            batch=self.plan.tag,
            until_empty=True,
            environ=self.places.environ,
            started=lambda task, words: self.say(f"{task.title}: {words[0]} started"),
            ended=self._ended,
            say=self.say,
        ).work()

    def _withdraw(self) -> None:
        """Cancel the queued tasks that only this call has asked for."""
        with suppress(GenbenchError):  # a store that fails would hide why the study ended
            tasks = select_tasks(
                self.store, batch=self.plan.tag, states=[TaskState.QUEUED], identities=self.mine
            )
            set_state(self.store, [task.number for task in tasks], TaskState.CANCELLED)

    # --- what is told of a command that has ended here

    def _ended(self, task: Task, end: Ended) -> None:
        if task.command[0] == "pace":
            self._pace_ended(self.measured[task.identity], task, end)
            return
        group = self.groups.get(task.identity, ())
        several = parts(end, group) if len(group) > 1 else [(None, end)]
        for planned, own in several:
            self.done += 1
            self.spent.append(own.seconds)
            title = task.title if planned is None else planned.title
            self._tell(f"{title}: {in_words(own) if own.code == 0 else f'failed: {own.reason}'}")

    def _ended_elsewhere(self, task: Task) -> None:
        self.done += 1
        self.spent.append((time.monotonic() - self.began) * len(self.slots) / self.done)
        self._tell(f"{task.title}: {task.state}{f': {task.error}' if task.error else ''}")

    def _pace_ended(self, entry: Entry, task: Task, end: Ended) -> None:
        self.done += 1
        if end.code == UsageError.exit_code and entry.seconds is not None:
            raise UsageError(end.error)
        if end.code:
            self.say(f"{entry.title}: the pilot failed: {end.reason}")
            return
        pace = Pace(**end.answer["pace"])
        book = book_of(self.plan, self.places)
        book.add(entry.pace_key, pace, title=entry.title, jobs=len(self.slots))
        earlier = f", {number(pace.earlier_s, 3)} s for stages before" if pace.earlier_s else ""
        later = f", {number(pace.later_s, 3)} s for stages after" if pace.later_s else ""
        self.say(
            f"{entry.title}: {number(pace.epoch_s, 3)} s per epoch{earlier}{later}, so "
            f"{end.answer['epochs']} epochs in {entry.seconds:g} s"
        )

    def _tell(self, text: str) -> None:
        gone = time.monotonic() - self.began
        self.total = max(self.total, self.done)
        left = sum(self.spent) / len(self.spent) * (self.total - self.done) / len(self.slots)
        more = f", about {duration(left)} left" if self.total > self.done else ""
        self.say(f"[{self.done}/{self.total}] {text} ({duration(gone)}{more})")

    # --- what came of a round, whoever did the work

    def _count(self) -> None:
        tasks = select_tasks(self.store, batch=self.plan.tag, identities=self.round)
        for task in tasks:
            if group := self.groups.get(task.identity):
                self._count_runs(task, group)
            elif task.state is TaskState.FAILED and task.command[0] == "pace":
                title = self.measured[task.identity].title
                self.outcome.remark(f"{title}: its pace could not be measured: {task.error}")
            elif task.state is TaskState.FAILED:
                self.outcome.remark(f"{task.title}: {task.error}")
        left = [task for task in tasks if task.state in OPEN]
        if left:
            self.outcome.remark(
                f"{counted(len(left), 'task')} of the study could not be done here: they are "
                "paused, wait for a paused one, or need another device; see: genbench queue"
            )

    def _count_runs(self, task: Task, group: Group) -> None:
        """Count the runs of a task that trains; the store has the error of a run that failed."""
        runs: dict[int, Run] = {}
        for run_id in runs_made_by(self.store, task):
            run = self.store.run(run_id)
            runs[run.seed] = run
        for planned in group:
            made = runs.get(planned.seed)
            if made is not None and made.status is Status.FINISHED:
                self.outcome.trained += 1
                continue
            self.outcome.failed += 1
            if task.state is TaskState.CANCELLED and planned.source is not None:
                self._lacks_source(planned.title)
            elif made is None and task.state is TaskState.FAILED:
                self.outcome.remark(f"{planned.title}: {task.error}")

    def _lacks_source(self, title: str) -> None:
        self.outcome.remark(f"{title}: the run that it builds on isn't finished")


def in_words(end: Ended) -> str:
    """'fd_clf 33.1, 44.8 s of training', from the JSON that a run printed."""
    if "train_s" not in end.answer:
        # Evaluations of one run may overlap, and each prints all scores stored until then.
        return "evaluated" if "scores" in end.answer else "done"
    scores = end.answer["scores"]
    if not scores:
        return f"no score, {duration(end.answer['train_s'])} of training"
    # A run may be scored every few epochs; `max` returns the first score of its last epoch.
    last = max(scores, key=lambda score: score["epoch"])
    value = f"{last['metric']} {number(last['value'])}"
    return f"{value}, {duration(end.answer['train_s'])} of training"
