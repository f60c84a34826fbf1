"""An index of the tasks that are ready, by batch: the workers of a study pass over no others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

READY = sa.text("state = 'queued' AND waiting = 0")


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "ix_tasks_ready_in_batch",
        "tasks",
        ["batch", sa.text("priority DESC"), "task"],
        sqlite_where=READY,
        postgresql_where=READY,
    )
