"""What is left to do of a study, as tasks for the queue: from its plan and from what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genbench.errors import UsageError
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.store.tasks import OPEN, NewTask, select_tasks
from genbench.study.existing_runs import ExistingRuns, missing
from genbench.study.grid import planned_runs
from genbench.study.pace import Pace, check_budget
from genbench.study.plan import Plan, PlannedRun
from genbench.study.seed_groups import Group, groups_of
from genbench.study.tasks import (
    evaluate_task,
    identity_of,
    pace_task,
    run_task,
    seeds_task,
)


@dataclass
class PlannedTasks:
    """The tasks, in the order in which they are to run, and what is known without them.

    ``groups`` are the planned runs of each task that trains, by its identity. ``reused`` are
    finished runs, ``failed`` the planned runs that failed before and are left alone.
    """

    tasks: list[NewTask] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    reused: list[PlannedRun] = field(default_factory=list)
    failed: list[PlannedRun] = field(default_factory=list)

    def add_run(self, task: NewTask, group: Group) -> None:
        """Add a task that trains."""
        self.tasks.append(task)
        self.groups[task.identity] = group


def planned_tasks(
    plan: Plan, store: Store, paces: Mapping[str, Pace], *, workers: int, retry: bool = False
) -> PlannedTasks:
    """The tasks of what is missing; seeds share a task only if there is one worker.

    Raises UsageError if a budget is too small, or if another process executes one of the runs.
    """
    found = PlannedTasks()
    for entry in plan.entries:
        if entry.seconds is not None and entry.pace_key in paces:
            pace = paces[entry.pace_key]
            check_budget(entry.title, pace.earlier_s + pace.later_s, entry.seconds)
    unmeasured = {e.pace_key: e for e in plan.entries if e.seconds and e.pace_key not in paces}
    found.tasks += [pace_task(plan, entry) for entry in unmeasured.values()]
    existing = ExistingRuns(store, plan)
    opened = {task.identity for task in select_tasks(store, batch=plan.tag, states=OPEN)}
    grid = [existing.ready(one) or one for one in planned_runs(plan, paces)]
    stored = [(planned, existing.run(planned)) for planned in grid]
    groups = groups_of(plan, [planned for planned, run in stored if run is None], workers)
    for planned, run in stored:
        group = groups.get(planned.entry.title, ())
        if planned in group:
            if planned is group[0]:
                found.add_run(seeds_task(plan, group), group)
                for one in group:
                    _evaluate_later(found, plan, one, found.tasks[-1].identity)
        elif planned.source is not None and planned.source in _sources(found.failed):
            found.failed.append(planned)
        elif run is None or identity_of(plan, planned) in opened:
            _add_run(found, plan, planned, None)
        else:
            _continue(found, plan, planned, run, store, retry)
    return found


def _sources(failed: list[PlannedRun]) -> list[PlannedRun]:
    return [PlannedRun(one.entry, one.seed, one.entry.spec.epochs) for one in failed]


def _continue(
    found: PlannedTasks, plan: Plan, planned: PlannedRun, run: Run, store: Store, retry: bool
) -> None:
    """Add what a stored run lacks: its end, or scores."""
    if run.status is Status.RUNNING:
        raise UsageError(
            f"{planned.title}: run {run.id} is already running in another process; wait until "
            "it has ended or stop it, then start the study again"
        )
    row_tag = f"row:{planned.entry.row.title}"
    if new := [tag for tag in (plan.tag, row_tag) if tag not in run.tags]:
        store.edit(run.id, tags=new)
    if run.status is Status.FINISHED:
        found.reused.append(planned)
        for lacking in missing(store, run, planned.entry, retry=retry):
            found.tasks.append(
                evaluate_task(plan, planned, lacking.sampling, lacking, run=run.id, retry=retry)
            )
    elif run.status is Status.FAILED and not retry:
        found.failed.append(planned)
    else:
        _add_run(found, plan, planned, run.id)


def _add_run(found: PlannedTasks, plan: Plan, planned: PlannedRun, run: str | None) -> None:
    task = run_task(plan, planned, run=run)
    found.add_run(task, (planned,))
    _evaluate_later(found, plan, planned, task.identity)


def _evaluate_later(found: PlannedTasks, plan: Plan, planned: PlannedRun, parent: str) -> None:
    """Add the evaluations with the samplers that the run itself doesn't use."""
    if len(found.groups[parent]) > 1:
        return  # such a task has several runs; the study looks again when it is done
    for sampling in planned.entry.later:
        found.tasks.append(evaluate_task(plan, planned, sampling, None, run=None, parent=parent))
