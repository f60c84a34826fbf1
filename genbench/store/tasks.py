"""The queue of tasks: what is to be done, by whom it is done, and what came of it.

A task is one genbench command, with the run that it makes. Laws: a task is claimed by one worker
at a time; a claim is a lease, which the heartbeat of the worker or that of the task's run renews;
when a worker is gone, its task goes back into the queue, and its run is resumed. A task is ready
when all of its parents are done; if one of them fails or is cancelled, so is the task.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from genbench.errors import NoSuchRunError
from genbench.store.reader import RowSource


class TaskState(StrEnum):
    """The state of a task. A cancelled or paused one is stopped at its next checkpoint."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task to enqueue. ``identity`` says what it does: a batch has one task of each identity.

    ``command`` are the words after ``genbench``; a word ``{run}``, or one that ends with
    ``:{run}``, stands for the value that the answer of a parent has under that key. ``parents`` are
    identities in the same batch. ``device`` is the kind that it needs: auto, cpu, cuda or mps.
    ``run`` is an unfinished run that it continues.
    """

    batch: str
    identity: str
    title: str
    command: tuple[str, ...]
    device: str = "auto"
    threads: int = 1
    priority: int = 0
    parents: tuple[str, ...] = ()
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the queue. ``waiting`` counts its parents that are not done.

    ``attempts`` counts the claims of workers that didn't end it; ``answer`` is what its command
    printed, and ``host`` and ``pid`` are those of its worker. ``runs`` are the ids of its runs.
    """

    number: int
    batch: str
    identity: str
    title: str
    state: TaskState
    command: tuple[str, ...]
    device: str
    threads: int
    priority: int
    waiting: int
    attempts: int = 0
    answer: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    host: str | None = None
    pid: int | None = None
    heartbeat_at: str | None = None
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    runs: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        """What tells this claim of the task from any other one."""
        return f"{self.number}@{self.started_at}"


COLUMNS = (
    "task, batch, identity, title, state, command, device, threads, priority, waiting, attempts, "
    "answer, error, host, pid, heartbeat_at, created_at, started_at, finished_at"
)
OPEN = (TaskState.QUEUED, TaskState.RUNNING, TaskState.PAUSED)


def select_tasks(
    reader: RowSource,
    *,
    batch: str | None = None,
    states: Iterable[str] = (),
    identities: Iterable[str] | None = None,
) -> list[Task]:
    """The tasks of a batch, or of all, in the order in which they are claimed."""
    wanted = ", ".join(f"'{TaskState(state)}'" for state in states)
    where = f"state IN ({wanted})" if wanted else "1 = 1"
    where += "" if batch is None else " AND batch = :batch"
    named = {} if batch is None else {"batch": batch}
    rows = reader.rows(f"SELECT {COLUMNS} FROM tasks WHERE {where}{ORDER}", named)
    runs: dict[int, list[str]] = {}
    for task, run_id in reader.rows("SELECT task, run_id FROM task_runs ORDER BY task, run_id"):
        runs.setdefault(task, []).append(run_id)
    kept = None if identities is None else set(identities)
    found = [task_of(row, runs.get(row[0], ())) for row in rows]
    return [task for task in found if kept is None or task.identity in kept]


ORDER = " ORDER BY priority DESC, task"


def counts(reader: RowSource, batch: str | None = None) -> dict[TaskState, int]:
    """How many tasks there are of each state that occurs."""
    where, named = ("", {}) if batch is None else ("WHERE batch = :batch", {"batch": batch})
    rows = reader.rows(f"SELECT state, count(*) FROM tasks {where} GROUP BY state", named)
    return {TaskState(state): count for state, count in rows}


def work_left(
    reader: RowSource, devices: Sequence[str] | None = None, batch: str | None = None
) -> bool:
    """Whether a task runs, or is ready for one of these devices (None: for any).

    A task that waits for a paused one is not work that is left: nobody can claim it.
    """
    kinds = ", ".join(f"'{kind}'" for kind in devices or ())
    ready = "state = 'queued' AND waiting = 0" + (
        "" if devices is None else f" AND device IN ({kinds})"
    )
    where, named = ("", {}) if batch is None else ("batch = :batch AND", {"batch": batch})
    sql = f"SELECT 1 FROM tasks WHERE {where} (state = 'running' OR ({ready})) LIMIT 1"
    return bool(reader.rows(sql, named))


def runs_made_by(reader: RowSource, task: Task) -> list[str]:
    """The ids of the runs that a task made and that were not deleted, oldest first."""
    sql = "SELECT m.run_id FROM task_runs m JOIN runs r ON r.id = m.run_id WHERE m.task = :task"
    return [run_id for (run_id,) in reader.rows(f"{sql} ORDER BY r.run", {"task": task.number})]


def task_of(row: Sequence[Any], runs: Sequence[str]) -> Task:
    """The record of a row with the columns `COLUMNS`, and the ids of its runs."""
    number, batch, identity, title, state, command, *rest = row
    device, threads, priority, waiting, attempts, answer, error, host, *others = rest
    pid, beat, created, started, finished = others
    return Task(
        number=number,
        batch=batch,
        identity=identity,
        title=title,
        state=TaskState(state),
        command=tuple(json.loads(command)),
        device=device,
        threads=threads,
        priority=priority,
        waiting=waiting,
        attempts=attempts,
        answer=json.loads(answer or "{}"),
        error=error,
        host=host and host.partition("#")[0],
        pid=pid,
        heartbeat_at=beat,
        created_at=created,
        started_at=started,
        finished_at=finished,
        runs=tuple(runs),
    )


def chosen(reader: RowSource, words: Sequence[str]) -> list[Task]:
    """The tasks that a user names by number or by batch. Raises NoSuchRunError for none."""
    found: dict[int, Task] = {}
    everything = select_tasks(reader)
    for word in words:
        fitting = [t for t in everything if word in (str(t.number), t.batch)]
        if not fitting:
            raise NoSuchRunError(f"no task or batch is called '{word}'", hint="See: genbench queue")
        found |= {task.number: task for task in fitting}
    return list(found.values())
