"""What ``genbench bench`` has measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    texts = ("created_at", "model", "dataset", "experiment", "device", "body")
    where = sa.ForeignKey("environments.environment", name="fk_benches_environment")
    op.create_table(
        "benches",
        sa.Column("bench", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("environment", sa.Integer(), where, nullable=False),
        sa.PrimaryKeyConstraint("bench", name="pk_benches"),
    )
