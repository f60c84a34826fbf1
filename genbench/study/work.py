"""Execute a study: pilots first, then runs, then the evaluations that finished runs lack.

All results are in the store, so the same call continues a study that was stopped.
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
from genbench.study.existing_runs import ExistingRuns, missing
from genbench.study.outcome import Outcome, Places
from genbench.study.pace import Pace, PaceBook, Reading, check_budget
from genbench.study.pilots import Pilots
from genbench.study.plan import Entry, Plan, PlannedRun
from genbench.study.seed_groups import Group, groups_of, parts
from genbench.study.tasks import evaluate_task, resume_task, run_task, seeds_task

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
    """Execute what is missing of a plan, ``jobs`` commands at a time; ``say`` gets progress lines.

    With ``retry``, failed runs and evaluations are started again. Raises InterruptedRunError if
    ``should_stop`` returned true, and UsageError if a budget is too small or another process
    executes one of the runs.
    """
    Store.open(places.store, mode="create").close()
    work = _Work(plan, places, jobs, retry, should_stop, say)
    work.measure()
    work.train()
    return work.outcome


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A planned run with its stored run, if any, the expected seconds and number of evaluations."""

    planned: PlannedRun
    run: Run | None
    seconds: float | None
    evaluations: int


def forecast(plan: Plan, places: Places) -> list[Forecast]:
    """What a study will execute, from the plan and the store; nothing is written."""
    paces = book_of(plan, places).read()
    grid = planned_runs(plan, paces)
    try:
        store = Store.open(places.store, mode="read")
    except StoreError:
        return [_forecast(planned, None, paces, len(_later(planned.entry))) for planned in grid]
    found = []
    with store:
        existing = ExistingRuns(store, plan)
        for planned in grid:
            run = existing.run(planned)
            done = run is not None and run.status is Status.FINISHED
            left = missing(store, run, planned.entry) if done and run else _later(planned.entry)
            found.append(_forecast(planned, run, paces, len(left)))
    return found


def planned_runs(plan: Plan, paces: Mapping[str, Pace]) -> list[PlannedRun]:
    """The grid, ordered by seed, so that every row runs once before any row runs twice."""
    return [
        PlannedRun(entry, seed, _epochs(entry, paces))
        for seed in plan.seeds
        for entry in plan.entries
    ]


def book_of(plan: Plan, places: Places) -> PaceBook:
    """The file with the paces of a study."""
    return PaceBook(path=places.folder / PACE_FILE, threads=plan.study.threads)


@dataclass
class _Work:
    """The state of one call of `execute`."""

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
        self.groups: dict[Task, Group] = {}
        self.done, self.total, self.began = 0, 0, time.monotonic()
        self.spent: list[float] = []
        self.waiting: list[PlannedRun] = []

    # --- pilots

    def measure(self) -> None:
        """Measure the pace of every row that has seconds instead of epochs."""
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
        self.say(f"{len(wanted)} pilots, to measure how long an epoch takes")
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
            earlier = f", {number(pace.earlier_s, 3)} s for stages before" if pace.earlier_s else ""
            later = f", {number(pace.later_s, 3)} s for stages after" if pace.later_s else ""
            self.say(
                f"{entry.title}: {number(pace.epoch_s, 3)} s per epoch{earlier}{later}, so "
                f"{pace.epochs(entry.seconds)} epochs in {entry.seconds:g} s"
            )
        elif not self.should_stop():
            self.outcome.remark(f"{entry.title}: its pace could not be measured: {ended.reason}")
            self.say(f"{entry.title}: the pilot failed: {ended.reason}")

    # --- runs

    def train(self) -> None:
        """Start missing runs, resume interrupted ones, and evaluate runs that lack scores."""
        tasks: dict[Task, PlannedRun] = {}
        with Store.open(self.places.store) as store:
            existing = ExistingRuns(store, self.plan)
            found: list[tuple[PlannedRun, Run | None]] = []
            for planned in planned_runs(self.plan, self.book.read()):
                if planned.epochs is None:
                    self.outcome.failed += 1
                elif (ready := existing.ready(planned)) is None:
                    self.waiting.append(planned)
                else:
                    found.append((ready, existing.run(planned)))
            groups = groups_of(self.plan, [new for new, run in found if run is None], self.jobs)
            for planned, run in found:
                group = groups.get(planned.entry.title, ())
                if planned not in group:
                    tasks |= self._tasks_of(planned, run, store)
                elif planned is group[0]:
                    task = seeds_task(self.plan, group, self.places)
                    tasks[task], self.groups[task] = planned, group
        self.total = sum(map(self._count, tasks, tasks.values()))
        self.total += sum(1 + len(_later(planned.entry)) for planned in self.waiting)
        if self.outcome.reused:
            self.say(f"{self.outcome.reused} runs are already in the store")

        def ended(end: Ended) -> list[Task]:
            follow = self._ended(tasks[end.task], end)
            tasks.update(follow)
            return list(follow)

        self._carry_out(tasks, ended)
        for planned in self.waiting if not self.should_stop() else ():
            self.outcome.failed += 1
            self.outcome.remark(f"{planned.title}: the run whose latents it needs isn't finished")

    def _tasks_of(
        self, planned: PlannedRun, run: Run | None, store: Store
    ) -> dict[Task, PlannedRun]:
        return dict.fromkeys(self._missing_tasks(planned, run, store), planned)

    def _missing_tasks(self, planned: PlannedRun, run: Run | None, store: Store) -> list[Task]:
        if run is None:
            return [run_task(self.plan, planned, self.places)]
        if run.status is Status.RUNNING:
            raise UsageError(
                f"{planned.title}: run {run.id} is already running in another process; wait until "
                "it has ended or stop it, then start the study again"
            )
        row_tag = f"row:{planned.entry.row.title}"
        if new := [tag for tag in (self.plan.tag, row_tag) if tag not in run.tags]:
            store.edit(run.id, tags=new)
        if run.status is Status.FINISHED:
            self.outcome.reused += 1
            return self._evaluations(planned, run, store)
        if run.status is Status.FAILED and not self.retry:
            self.outcome.failed += 1
            return []
        return [resume_task(run.id, planned, self.places)]

    def _evaluations(self, planned: PlannedRun, run: Run, store: Store) -> list[Task]:
        tasks = []
        for lacking in missing(store, run, planned.entry, retry=self.retry):
            tried = (run.id, lacking.sampling.label, lacking.metrics)
            if tried not in self.tried:
                self.tried.add(tried)
                tasks.append(evaluate_task(run.id, planned, lacking, self.places))
        return tasks

    def _ended(self, planned: PlannedRun, end: Ended) -> dict[Task, PlannedRun]:
        """The tasks that follow one: evaluations of its run, and runs on the latents of it."""
        if self.should_stop():
            return {}
        if group := self.groups.pop(end.task, None):
            follow: dict[Task, PlannedRun] = {}
            for own, part in parts(end, group):
                follow |= self._ended(own, part)
            return follow
        self.done += 1
        self.spent.append(end.seconds)
        trains = end.task.arguments[0] != "evaluate"
        if end.code != 0:
            self._tell(f"{end.task.title}: failed: {end.reason}")
            if trains:
                self.outcome.failed += 1
                self.done += len(_later(planned.entry))
            if "run" not in end.answer:  # else the store has the run and its error
                self.outcome.remark(f"{end.task.title}: {end.reason}")
            return {}
        self._tell(f"{end.task.title}: {_in_words(end)}")
        if not trains:
            return {}
        self.outcome.trained += 1
        with Store.open(self.places.store) as store:
            run = store.run(str(end.answer["run"]))
            tasks = dict.fromkeys(self._evaluations(planned, run, store), planned)
            return tasks | self._on_latents_of(planned, store)

    def _on_latents_of(self, planned: PlannedRun, store: Store) -> dict[Task, PlannedRun]:
        """The tasks of the runs that have waited for this one."""
        existing = ExistingRuns(store, self.plan)
        tasks: dict[Task, PlannedRun] = {}
        for later in [one for one in self.waiting if one.source == planned]:
            self.waiting.remove(later)
            if ready := existing.ready(later):
                tasks |= self._tasks_of(ready, existing.run(later), store)
        return tasks

    # --- shared

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
                "the study was interrupted; its results so far are in the store, and the same "
                "command continues from there"
            )

    def _count(self, task: Task, planned: PlannedRun) -> int:
        return len(self.groups.get(task, (planned,))) * self._steps(task, planned)

    def _steps(self, task: Task, planned: PlannedRun) -> int:
        return 1 + (len(_later(planned.entry)) if task.arguments[0] != "evaluate" else 0)

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


def _forecast(
    planned: PlannedRun, run: Run | None, paces: Mapping[str, Pace], evaluations: int
) -> Forecast:
    pace = paces.get(planned.entry.pace_key)
    seconds = planned.entry.seconds
    if pace and planned.epochs:
        seconds = pace.seconds(planned.epochs)
    if run and run.status is Status.FINISHED:
        seconds = 0.0
    return Forecast(planned=planned, run=run, seconds=seconds, evaluations=evaluations)


def _later(entry: Entry) -> list[str]:
    """The samplers that are evaluated after the run."""
    return [sampling.label for sampling in entry.samplings[1:] if not sampling.refused]


def _in_words(end: Ended) -> str:
    """'fd_clf 33.1, 44.8 s of training', from the JSON that a run printed."""
    if "train_s" not in end.answer:
        # Evaluations of one run may overlap, and each prints all scores stored until then.
        return "evaluated"
    words: Iterator[str] = (
        f"{score['metric']} {number(score['value'])}" for score in end.answer["scores"]
    )
    return f"{next(words, 'no score')}, {duration(end.answer['train_s'])} of training"
