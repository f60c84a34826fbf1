"""The task that a command belongs to, which its worker names in the environment.

The run is linked to the task in the transaction that makes it, so that there is no moment at which
a killed worker leaves a run that its task doesn't know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.errors import TakenOverError
from genbench.store.tasks import TaskState
from genbench.store.upsert import insert_missing

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CLAIM = "GENBENCH_TASK"
"""The environment variable with the claim that a command belongs to: ``number@time``."""


def link_run(connection: Connection, run_id: str, claimed: str | None) -> None:
    """Store that a command of a claimed task made this run, in the transaction that makes it.

    Raises TakenOverError if the task belongs to another worker by now: two would train one thing.
    """
    from sqlalchemy import select

    from genbench.store.schema import task_runs, tasks

    if not claimed:
        return
    number, _, moment = claimed.partition("@")
    mine = select(tasks.c.task).where(
        tasks.c.task == int(number),
        tasks.c.started_at == moment,
        tasks.c.state == TaskState.RUNNING.value,
    )
    if connection.execute(mine.with_for_update()).first() is None:
        raise TakenOverError(
            f"task {number} was cancelled or given to another worker before this process had "
            "begun its run, so it stops"
        )
    insert_missing(connection, task_runs, [{"task": int(number), "run_id": run_id}])
