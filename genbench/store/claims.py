"""Claims of tasks: one worker at a time, with a lease that its heartbeat renews.

Each function is one transaction, and checks that the task still belongs to the claim it was given
for: a worker that was silent for too long changes nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from genbench.store.process import SILENCE_S, Owner, is_lost, this_process
from genbench.store.reader import RowSource
from genbench.store.tasks import COLUMNS, ORDER, Task, TaskState, task_of
from genbench.store.values import now, seconds_since

if TYPE_CHECKING:
    from sqlalchemy import TextClause
    from sqlalchemy.engine import Connection

    from genbench.store.store import Store

MOST_ATTEMPTS = 10
"""A task fails after so many workers have died or have lost its process."""

UNOWNED: Mapping[str, Any] = dict.fromkeys(
    ("host", "pid", "process_start", "heartbeat_at", "started_at", "finished_at")
)
"""The columns of a task that no worker has."""


def claim(store: Store, devices: Sequence[str], batch: str | None = None) -> Task | None:
    """Claim the first task that is ready and needs one of the devices; None if there is none.

    On PostgreSQL, rows that other workers are claiming are skipped; on SQLite a transaction that
    writes is alone.
    """
    mine = this_process()
    given = {"host": mine.host, "pid": mine.pid, "start": mine.started, "now": now()}
    given |= {f"device_{index}": device for index, device in enumerate(devices)}
    given |= {} if batch is None else {"batch": batch}
    with store.statement() as connection:
        claiming = _claiming(connection.dialect.name, len(devices), batch is not None)
        row = connection.execute(claiming, given).first()
    return None if row is None else task_of(row, ())


@cache
def _claiming(dialect: str, devices: int, of_a_batch: bool) -> TextClause:
    from sqlalchemy import text

    # Without its name, SQLite sorts all that is queued [60 ms of 100,000 tasks].
    index = "ix_tasks_ready_in_batch" if of_a_batch else "ix_tasks_ready"
    return text(
        _CLAIM.format(
            columns=COLUMNS,
            index=f"INDEXED BY {index}" if dialect == "sqlite" else "",
            devices=", ".join(f":device_{number}" for number in range(devices)),
            batch="AND batch = :batch" if of_a_batch else "",
            order=ORDER,
            lock="FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else "",
        )
    )


_CLAIM = """
UPDATE tasks SET state = 'running', host = :host, pid = :pid, process_start = :start,
  heartbeat_at = :now, started_at = :now, finished_at = NULL, error = NULL
WHERE task = (SELECT task FROM tasks {index} WHERE state = 'queued' AND waiting = 0
              AND device IN ({devices}) {batch} {order} LIMIT 1 {lock})
RETURNING {columns}
"""


def answers_of_parents(reader: RowSource, task: Task) -> dict[str, Any]:
    """The answers of the parents of a task, merged into one."""
    rows = reader.rows(
        "SELECT q.answer FROM task_parents p JOIN tasks q ON q.task = p.parent "
        "WHERE p.task = :task ORDER BY q.task",
        {"task": task.number},
    )
    merged: dict[str, Any] = {}
    for (answer,) in rows:
        merged |= json.loads(answer or "{}")
    return merged


def beat(store: Store, tasks: Sequence[Task]) -> set[int]:
    """Renew the leases of claimed tasks; return the numbers of those that are still this worker's.

    The others were cancelled or paused, or taken over because no heartbeat came.
    """
    kept = set()
    with store.transaction() as connection:
        for task in tasks:
            if _change(connection, task, {"heartbeat_at": now()}):
                kept.add(task.number)
    return kept


def done(store: Store, task: Task, answer: Mapping[str, Any]) -> bool:
    """Mark a claimed task as done, which releases its children; False if it was taken away."""
    values = {"state": TaskState.DONE.value, "answer": json.dumps(dict(answer)), "error": None}
    with store.transaction() as connection:
        mine = _change(connection, task, {**values, "finished_at": now()})
        if mine:
            _release_children(connection, task.number)
    return mine


def fail(store: Store, task: Task, error: str, answer: Mapping[str, Any] | None = None) -> bool:
    """Mark a claimed task as failed, and cancel what needs it; False if it was taken away."""
    with store.transaction() as connection:
        return _fail(connection, task, error, answer or {})


def _fail(connection: Connection, task: Task, error: str, answer: Mapping[str, Any]) -> bool:
    values = {"state": TaskState.FAILED.value, "error": error, "answer": json.dumps(dict(answer))}
    mine = _change(connection, task, {**values, "finished_at": now()})
    if mine:
        cancel_descendants(connection, task.number, "failed")
    return mine


def release(store: Store, task: Task, error: str | None = None) -> bool:
    """Put a claimed task back into the queue. With an ``error`` it counts as an attempt.

    After `MOST_ATTEMPTS` the task fails. Returns False if it was taken away.
    """
    with store.transaction() as connection:
        return _release(connection, task, error)


def _release(connection: Connection, task: Task, error: str | None) -> bool:
    if error is not None and task.attempts + 1 >= MOST_ATTEMPTS:
        return _fail(connection, task, f"{MOST_ATTEMPTS} attempts: {error}", {})
    attempts = task.attempts + (error is not None)
    values = {"state": TaskState.QUEUED.value, "attempts": attempts, "error": error}
    return _change(connection, task, {**UNOWNED, **values})


def give_to(store: Store, task: Task, run_id: str) -> bool:
    """Let the process of a run that is alive hold the lease of a claimed task."""
    from sqlalchemy import select

    from genbench.store.schema import runs

    with store.transaction() as connection:
        at = runs.c
        found = select(at.host, at.pid, at.process_start, at.heartbeat_at).where(at.id == run_id)
        return _change(connection, task, dict(connection.execute(found).mappings().one()))


def recover(store: Store, batch: str | None = None) -> int:
    """Put the tasks back into the queue that have no living process; return how many."""
    from sqlalchemy import select

    from genbench.store.schema import tasks

    at = tasks.c
    running = select(tasks).where(at.state == TaskState.RUNNING.value)
    running = running if batch is None else running.where(at.batch == batch)
    found = 0
    with store.transaction() as connection:
        for row in connection.execute(running.with_for_update(skip_locked=True)).all():
            if _is_silent(row) and not _has_a_living_run(connection, row.task):
                task = _by_number(connection, row.task)
                found += _release(connection, task, "its worker ended without a message")
    return found


def _is_silent(row: Any) -> bool:
    """Whether the worker of a task is gone, or has stopped renewing the lease of this task."""
    owner = Owner(host=row.host, pid=row.pid, started=row.process_start) if row.pid else None
    return is_lost(owner, row.heartbeat_at) or abs(seconds_since(row.heartbeat_at)) > SILENCE_S


def _has_a_living_run(connection: Connection, number: int) -> bool:
    from sqlalchemy import select

    from genbench.store.lifecycle import is_alive
    from genbench.store.schema import runs, task_runs

    made = select(task_runs.c.run_id).where(task_runs.c.task == number)
    return any(map(is_alive, connection.execute(select(runs).where(runs.c.id.in_(made)))))


def _by_number(connection: Connection, number: int) -> Task:
    from sqlalchemy import text

    row = connection.execute(
        text(f"SELECT {COLUMNS} FROM tasks WHERE task = :task"), {"task": number}
    ).one()
    return task_of(row, ())


def _change(connection: Connection, task: Task, values: Mapping[str, Any]) -> bool:
    """Change a task if it still belongs to this claim."""
    given = {**values, "number": task.number, "claimed_at": task.started_at}
    return bool(connection.execute(_changing(tuple(values)), given).rowcount)


@cache
def _changing(columns: Sequence[str]) -> TextClause:
    from sqlalchemy import text

    assigned = ", ".join(f"{name} = :{name}" for name in columns)
    mine = "task = :number AND started_at = :claimed_at AND state = 'running'"
    return text(f"UPDATE tasks SET {assigned} WHERE {mine}")


def _release_children(connection: Connection, number: int) -> None:
    from sqlalchemy import text

    connection.execute(text(_RELEASE_CHILDREN), {"task": number})


_RELEASE_CHILDREN = """
UPDATE tasks SET waiting = waiting - 1
WHERE waiting > 0 AND task IN (SELECT task FROM task_parents WHERE parent = :task)
"""


def cancel_descendants(connection: Connection, number: int, fate: str) -> None:
    """Cancel the tasks that need a task which failed or was cancelled."""
    from sqlalchemy import text

    error = f"it needs task {number}, which {fate}"
    given = {"task": number, "now": now(), "error": error}
    connection.execute(text(_CANCEL_DESCENDANTS), given)


_CANCEL_DESCENDANTS = """
UPDATE tasks SET state = 'cancelled', error = :error, finished_at = :now
WHERE state IN ('queued', 'paused') AND task IN (
  WITH RECURSIVE later (task) AS (
    SELECT task FROM task_parents WHERE parent = :task
    UNION SELECT p.task FROM task_parents p JOIN later l ON p.parent = l.task)
  SELECT task FROM later)
"""
