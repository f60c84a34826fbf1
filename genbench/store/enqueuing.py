"""What people and studies change in the queue: add tasks, pause, cancel and queue them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbench.store.claims import UNOWNED, cancel_descendants
from genbench.store.tasks import OPEN, NewTask, TaskState
from genbench.store.values import now

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.store import Store


def enqueue(store: Store, new: Sequence[NewTask], *, retry: bool = False) -> list[str]:
    """Add tasks to the queue; return the identities of those that are to be done now.

    A task that is there already and is queued, running or paused stays as it is. One that was done
    or cancelled is queued again, and so is one that failed, with ``retry``. If the store has no run
    yet, it keeps the address of the files for the workers, who may not be told.
    """
    with store.transaction() as connection:
        store.keep_files_address(connection)
        return _enqueue(connection, new, retry)


def _enqueue(connection: Connection, new: Sequence[NewTask], retry: bool) -> list[str]:
    from sqlalchemy import select

    from genbench.store.schema import tasks

    at, batches = tasks.c, {task.batch for task in new}
    known = select(at.batch, at.identity, at.task, at.state).where(at.batch.in_(batches))
    states = {(r.batch, r.identity): (r.task, r.state) for r in connection.execute(known)}
    kept = {*OPEN, *(() if retry else (TaskState.FAILED,))}
    wanted = [t for t in new if states.get((t.batch, t.identity), (0, ""))[1] not in kept]
    again = [t for t in wanted if (t.batch, t.identity) in states]
    _insert(connection, [t for t in wanted if (t.batch, t.identity) not in states])
    for task in again:
        _requeue(connection, states[task.batch, task.identity][0], task)
    numbers = {(r.batch, r.identity): r.task for r in connection.execute(known)}
    _link(connection, wanted, numbers)
    requeued = [numbers[task.batch, task.identity] for task in again]
    _count_parents(connection, _children_of(connection, requeued))
    return [task.identity for task in wanted]


def _insert(connection: Connection, new: Sequence[NewTask]) -> None:
    from genbench.store.schema import tasks
    from genbench.store.upsert import insert_missing

    rows = [
        {
            **_described(task),
            "batch": task.batch,
            "identity": task.identity,
            "waiting": 0,
            "created_at": now(),
        }
        for task in new
    ]
    insert_missing(connection, tasks, rows)


def _described(task: NewTask) -> dict[str, Any]:
    return {
        "title": task.title,
        "state": TaskState.QUEUED.value,
        "command": json.dumps(task.command),
        "device": task.device,
        "threads": task.threads,
        "priority": task.priority,
    }


def _requeue(connection: Connection, number: int, task: NewTask) -> None:
    """Queue a task again that has ended: what it made is not what is wanted now."""
    from sqlalchemy import delete, update

    from genbench.store.schema import task_parents, task_runs, tasks

    values = {**_described(task), **UNOWNED, "attempts": 0, "answer": None, "error": None}
    connection.execute(update(tasks).where(tasks.c.task == number).values(values))
    for table in (task_parents, task_runs):
        connection.execute(delete(table).where(table.c.task == number))


def _link(
    connection: Connection, new: Sequence[NewTask], numbers: Mapping[tuple[str, str], int]
) -> None:
    """Store parents and runs of tasks, and how many parents are not done."""
    from genbench.store.schema import task_parents, task_runs
    from genbench.store.upsert import insert_missing

    pairs, made = [], []
    for task in new:
        number = numbers[task.batch, task.identity]
        pairs += [{"task": number, "parent": numbers[task.batch, p]} for p in task.parents]
        made += [{"task": number, "run_id": task.run}] if task.run else []
    insert_missing(connection, task_parents, pairs)
    insert_missing(connection, task_runs, made)
    _count_parents(connection, [pair["task"] for pair in pairs])


def _count_parents(connection: Connection, children: Sequence[int]) -> None:
    """Count for each of these tasks how many of its parents are not done.

    On a server the parents are locked first: one that ends at the same time either waits until its
    children can be seen, or is seen as done.
    """
    from sqlalchemy import bindparam, select, text

    from genbench.store.schema import task_parents, tasks

    statement = text(_COUNT_PARENTS).bindparams(bindparam("children", expanding=True))
    numbers = sorted(set(children))
    for first in range(0, len(numbers), 1_000):
        some = numbers[first : first + 1_000]
        parents = select(task_parents.c.parent).where(task_parents.c.task.in_(some))
        held = select(tasks.c.task).where(tasks.c.task.in_(parents)).order_by(tasks.c.task)
        connection.execute(held.with_for_update()).all()
        connection.execute(statement, {"children": some})


_COUNT_PARENTS = """
UPDATE tasks SET waiting = (SELECT count(*) FROM task_parents p JOIN tasks q ON q.task = p.parent
  WHERE p.task = tasks.task AND q.state <> 'done')
WHERE task IN :children
"""


def _children_of(connection: Connection, parents: Sequence[int]) -> list[int]:
    from sqlalchemy import select

    from genbench.store.schema import task_parents

    found: list[int] = []
    for first in range(0, len(parents), 1_000):
        some = task_parents.c.parent.in_(parents[first : first + 1_000])
        found += connection.scalars(select(task_parents.c.task).where(some))
    return found


_FROM = {
    TaskState.PAUSED: (TaskState.QUEUED, TaskState.RUNNING),
    TaskState.CANCELLED: OPEN,
    TaskState.QUEUED: (TaskState.PAUSED, TaskState.FAILED, TaskState.CANCELLED),
}
"""By the state that a user asks for: the states that it can follow."""


def set_state(store: Store, numbers: Sequence[int], state: TaskState) -> list[int]:
    """Pause, cancel or queue tasks; return the numbers of those that changed.

    A running task is stopped by its worker within a few seconds, with a checkpoint; queued again,
    it continues from there. Cancelling a task cancels what needs it.
    """
    values: dict[str, Any] = {"state": state.value}
    if state is TaskState.QUEUED:
        values |= {**UNOWNED, "error": None, "attempts": 0}
    elif state is TaskState.CANCELLED:
        values |= {"finished_at": now()}
    from sqlalchemy import update

    from genbench.store.schema import tasks

    changed = []
    with store.transaction() as connection:
        for number in numbers:
            at = tasks.c
            which = (at.task == number) & at.state.in_([s.value for s in _FROM[state]])
            if connection.execute(update(tasks).where(which).values(values)).rowcount:
                changed.append(number)
                if state is TaskState.CANCELLED:
                    cancel_descendants(connection, number, "was cancelled")
        if state is TaskState.QUEUED:  # a parent may have been removed in the meantime
            _count_parents(connection, changed)
    return changed


def set_priority(store: Store, numbers: Sequence[int], priority: int) -> None:
    """Change the priority of tasks: higher ones are claimed first."""
    from sqlalchemy import update

    from genbench.store.schema import tasks

    with store.transaction() as connection:
        for number in numbers:
            which = tasks.c.task == number
            connection.execute(update(tasks).where(which).values(priority=priority))


def remove(store: Store, numbers: Sequence[int]) -> list[int]:
    """Delete tasks that have ended, and nothing of their runs; return the numbers of those.

    A task is kept if one that is queued, running or paused still needs its answer.
    """
    from sqlalchemy import delete, select

    from genbench.store.schema import task_parents, tasks

    is_open = tasks.c.state.in_([state.value for state in OPEN])
    removed = []
    with store.transaction() as connection:
        needed = select(task_parents.c.parent).join(tasks, tasks.c.task == task_parents.c.task)
        kept = set(connection.scalars(needed.where(is_open)))
        for number in numbers:
            which = (tasks.c.task == number) & ~is_open
            if number not in kept and connection.execute(delete(tasks).where(which)).rowcount:
                removed.append(number)
    return removed
