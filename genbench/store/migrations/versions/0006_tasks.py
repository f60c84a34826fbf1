"""A queue of tasks: their states and dependencies, and the runs that they made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

READY = sa.text("state = 'queued' AND waiting = 0")


def upgrade() -> None:
    """Add the tables."""
    texts = ("batch", "identity", "title", "state", "command", "device")
    numbers = ("threads", "priority", "waiting")
    op.create_table(
        "tasks",
        sa.Column("task", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in numbers),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("answer", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("host", sa.Text()),
        sa.Column("pid", sa.Integer()),
        sa.Column("process_start", sa.Text()),
        sa.Column("heartbeat_at", sa.Text()),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text()),
        sa.Column("finished_at", sa.Text()),
        sa.PrimaryKeyConstraint("task", name="pk_tasks"),
        sa.UniqueConstraint("batch", "identity", name="uq_tasks_batch_identity"),
    )
    op.create_index("ix_tasks_state", "tasks", ["state"])
    op.create_index(
        "ix_tasks_ready",
        "tasks",
        [sa.text("priority DESC"), "task"],
        sqlite_where=READY,
        postgresql_where=READY,
    )
    op.create_table(
        "task_parents",
        _task("task_parents", "task"),
        _task("task_parents", "parent"),
        sa.PrimaryKeyConstraint("task", "parent", name="pk_task_parents"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_task_parents_parent", "task_parents", ["parent"])
    op.create_table(
        "task_runs",
        _task("task_runs", "task"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task", "run_id", name="pk_task_runs"),
        sqlite_with_rowid=False,
    )


def _task(table: str, name: str) -> sa.Column[int]:
    owner = sa.ForeignKey("tasks.task", ondelete="CASCADE", name=f"fk_{table}_{name}")
    return sa.Column(name, sa.Integer(), owner, nullable=False)
