"""Doing a study: pilots, then runs, then what is to be evaluated of the finished ones.

What is done is found in the store, so the same call goes on where one before it was stopped.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import InterruptedRunError, StoreError, UsageError
from genbench.formatting import duration, number
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.study.children import Ended, Task, carry_out
from genbench.study.commands import evaluate_task, resume_task, run_task
from genbench.study.existing_runs import ExistingRuns, missing
from genbench.study.outcome import Outcome, Places
from genbench.study.pace import Pace, PaceBook, Reading, check_budget
from genbench.study.pilots import Pilots
from genbench.study.plan import Cell, Entry, Plan

PACE_FILE = "pace.json"


def execute(
    plan: Plan,
    places: Places,
    *,
    jobs: int = 1,
    retry: bool = False,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Outcome:
    """Do all that is missing of a plan, ``jobs`` commands at a time; one line each to ``say``.

    ``retry`` takes up failed runs and evaluations too. Raises InterruptedRunError where
    ``should_stop`` said so, UsageError where a budget can't be kept or a run is alive elsewhere.
    """
    Store.open(places.store, mode="create").close()
    work = _Work(plan, places, jobs, retry, should_stop, say)
    work.measure()
    work.train()
    return work.outcome


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is known of a cell before the work: its run, if there is one, and what it will cost."""

    cell: Cell
    run: Run | None
    seconds: float | None
    evaluations: int


def forecast(plan: Plan, places: Places) -> list[Forecast]:
    """What a study will do, from the plan and the store alone; nothing is made."""
    paces = book_of(plan, places).read()
    found = []
    try:
        store = Store.open(places.store, mode="read")
    except StoreError:
        return [
            _prospect(cell, None, paces, len(_later(cell.entry))) for cell in cells(plan, paces)
        ]
    with store:
        existing = ExistingRuns(store, plan)
        for cell in cells(plan, paces):
            run = existing.run(cell)
            done = run is not None and run.status is Status.FINISHED
            left = missing(store, run, cell.entry) if done and run else _later(cell.entry)
            found.append(_prospect(cell, run, paces, len(left)))
    return found


def cells(plan: Plan, paces: Mapping[str, Pace]) -> list[Cell]:
    """The grid, seed by seed, so that every row is seen once before any is seen twice."""
    return [
        Cell(entry, seed, _epochs(entry, paces)) for seed in plan.seeds for entry in plan.entries
    ]


def book_of(plan: Plan, places: Places) -> PaceBook:
    """The paces that were measured for a study."""
    return PaceBook(path=places.folder / PACE_FILE, threads=plan.study.threads)


@dataclass
class _Work:
    """One call of `execute`."""

    plan: Plan
    places: Places
    jobs: int
    retry: bool
    should_stop: Callable[[], bool]
    say: Callable[[str], None]
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self.book = book_of(self.plan, self.places)
        self.tried: set[tuple[str, str, tuple[str, ...]]] = set()
        self.done, self.total, self.began = 0, 0, time.monotonic()
        self.spent: list[float] = []

    # --- pilots

    def measure(self) -> None:
        """Take the pace of every row whose epochs are to be chosen by seconds."""
        paces = self.book.read()
        for entry in self.plan.entries:
            if entry.seconds is not None and entry.pace_key in paces:
                pace = paces[entry.pace_key]
                check_budget(entry.title, pace.earlier_s + pace.later_s, entry.seconds)
        wanted = {
            entry.pace_key: entry
            for entry in self.plan.entries
            if entry.seconds is not None and entry.pace_key not in paces
        }
        if not wanted:
            return
        self.say(f"{len(wanted)} pilots: how long an epoch takes")
        with tempfile.TemporaryDirectory(prefix="genbench-pilot-") as scratch:
            pilots = Pilots(self.plan, self.places, Path(scratch), self._measured)
            self._carry_out(pilots.tasks(wanted.values()), pilots.ended)

    def _measured(self, entry: Entry, reading: Reading | None, ended: Ended) -> None:
        assert entry.seconds is not None
        if reading is not None and not self.should_stop():
            check_budget(entry.title, reading.earlier_s + reading.later_s, entry.seconds)
        pace = reading.pace() if reading else None
        if pace is not None and not self.should_stop():
            self.book.add(entry.pace_key, pace, title=entry.title, jobs=self.jobs)
            earlier = f", {number(pace.earlier_s, 3)} s before it" if pace.earlier_s else ""
            later = f", {number(pace.later_s, 3)} s after it" if pace.later_s else ""
            self.say(
                f"{entry.title}: {number(pace.epoch_s, 3)} s an epoch{earlier}{later}, so "
                f"{pace.epochs(entry.seconds)} epochs in {entry.seconds:g} s"
            )
        elif not self.should_stop():
            self.outcome.remark(f"{entry.title}: no pace could be measured: {ended.reason}")
            self.say(f"{entry.title}: the pilot failed: {ended.reason}")

    # --- runs

    def train(self) -> None:
        """Train what isn't there, go on with what was interrupted, evaluate what lacks scores."""
        tasks: dict[Task, Cell] = {}
        with Store.open(self.places.store) as store:
            existing = ExistingRuns(store, self.plan)
            for cell in cells(self.plan, self.book.read()):
                if cell.epochs is None:
                    self.outcome.failed += 1
                    continue
                for task in self._tasks_of(cell, existing.run(cell), store):
                    tasks[task] = cell
        self.total = sum(map(self._count, tasks, tasks.values()))
        if self.outcome.reused:
            self.say(f"{self.outcome.reused} runs are in the store already")

        def ended(end: Ended) -> list[Task]:
            cell = tasks[end.task]
            follow = self._ended(cell, end)
            tasks.update(dict.fromkeys(follow, cell))
            return follow

        self._carry_out(tasks, ended)

    def _tasks_of(self, cell: Cell, run: Run | None, store: Store) -> list[Task]:
        if run is None:
            return [run_task(self.plan, cell, self.places)]
        if run.status is Status.RUNNING:
            raise UsageError(
                f"{cell.title}: run {run.id} is running already, in another process; wait for its "
                "end or stop it, then start the study again"
            )
        row_tag = f"row:{cell.entry.row.title}"
        if new := [tag for tag in (self.plan.tag, row_tag) if tag not in run.tags]:
            store.tag(run.id, new)
        if run.status is Status.FINISHED:
            self.outcome.reused += 1
            return self._evaluations(cell, run, store)
        if run.status is Status.FAILED and not self.retry:
            self.outcome.failed += 1
            return []
        return [resume_task(run.id, cell, self.places)]

    def _evaluations(self, cell: Cell, run: Run, store: Store) -> list[Task]:
        tasks = []
        for lacking in missing(store, run, cell.entry, retry=self.retry):
            tried = (run.id, lacking.sampling.label, lacking.metrics)
            if tried not in self.tried:
                self.tried.add(tried)
                tasks.append(evaluate_task(run.id, cell, lacking, self.places))
        return tasks

    def _ended(self, cell: Cell, end: Ended) -> list[Task]:
        if self.should_stop():
            return []
        self.done += 1
        self.spent.append(end.seconds)
        trains = end.task.arguments[0] != "evaluate"
        if end.code != 0:
            self._tell(f"{end.task.title}: failed: {end.reason}")
            if trains:
                self.outcome.failed += 1
                self.done += len(_later(cell.entry))
            if "run" not in end.answer:  # else the store has the run and its error
                self.outcome.remark(f"{end.task.title}: {end.reason}")
            return []
        self._tell(f"{end.task.title}: {_in_words(end)}")
        if not trains:
            return []
        self.outcome.trained += 1
        with Store.open(self.places.store, mode="read") as store:
            return self._evaluations(cell, store.run(str(end.answer["run"])), store)

    # --- what is common

    def _carry_out(self, tasks: Iterable[Task], ended: Callable[[Ended], Iterable[Task]]) -> None:
        whole = carry_out(
            list(tasks),
            at_once=self.jobs,
            threads=self.plan.study.threads,
            should_stop=self.should_stop,
            ended=ended,
            started=lambda task: self.say(f"{task.title}: {task.arguments[0]} started"),
        )
        if not whole:
            raise InterruptedRunError(
                "the study is interrupted; what was done is in the store, and the same command "
                "goes on from there"
            )

    def _count(self, task: Task, cell: Cell) -> int:
        return 1 + (len(_later(cell.entry)) if task.arguments[0] != "evaluate" else 0)

    def _tell(self, text: str) -> None:
        gone = time.monotonic() - self.began
        self.total = max(self.total, self.done)
        left = sum(self.spent) / len(self.spent) * (self.total - self.done) / self.jobs
        more = f", about {duration(left)} left" if self.total > self.done else ""
        self.say(f"[{self.done}/{self.total}] {text} ({duration(gone)}{more})")


def _epochs(entry: Entry, paces: Mapping[str, Pace]) -> int | None:
    if entry.seconds is None:
        return entry.spec.epochs
    pace = paces.get(entry.pace_key)
    return pace.epochs(entry.seconds) if pace else None


def _prospect(cell: Cell, run: Run | None, paces: Mapping[str, Pace], evaluations: int) -> Forecast:
    pace = paces.get(cell.entry.pace_key)
    seconds = cell.entry.seconds
    if pace and cell.epochs:
        seconds = pace.seconds(cell.epochs)
    if run and run.status is Status.FINISHED:
        seconds = 0.0
    return Forecast(cell=cell, run=run, seconds=seconds, evaluations=evaluations)


def _later(entry: Entry) -> list[str]:
    """The samplers that come after the run."""
    return [sampling.label for sampling in entry.samplings[1:] if not sampling.refused]


def _in_words(end: Ended) -> str:
    """'fd_clf 33.1, 44.8 s of training' of what a run printed at its end."""
    if "train_s" not in end.answer:
        # Evaluations of one run may overlap, and each prints all that was stored meanwhile.
        return "evaluated"
    words: Iterator[str] = (
        f"{score['metric']} {number(score['value'])}" for score in end.answer["scores"]
    )
    return f"{next(words, 'no score')}, {duration(end.answer['train_s'])} of training"
