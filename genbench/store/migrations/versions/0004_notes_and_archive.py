"""A note on a run, and the time at which it was archived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("runs", sa.Column("note", sa.Text()))
    op.add_column("runs", sa.Column("archived_at", sa.Text()))
