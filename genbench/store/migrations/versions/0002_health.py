"""The warnings of a run, and the number of draws that a score is the mean of.

A score that was stored before has a single draw.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "warnings",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_warnings_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "epoch", "kind", name=op.f("pk_warnings")),
        sqlite_with_rowid=False,
    )
    one = sa.text("1")
    op.add_column("evals", sa.Column("draws", sa.Integer(), nullable=False, server_default=one))
