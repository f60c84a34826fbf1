"""Tunings: searches for settings, and the settings that they proposed with the runs of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "tunings",
        sa.Column("tuning", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "digest", "body")),
        sa.Column("paces", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tuning", name="pk_tunings"),
        sa.UniqueConstraint("name", name="uq_tunings_name"),
        sa.UniqueConstraint("digest", name="uq_tunings_digest"),
    )
    owner = sa.ForeignKey("tunings.tuning", ondelete="CASCADE", name="fk_proposals_tuning")
    op.create_table(
        "proposals",
        sa.Column("tuning", sa.Integer(), owner, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("confirms", sa.Integer()),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tuning", "number", name="pk_proposals"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_proposals_run_id", "proposals", ["run_id"])
