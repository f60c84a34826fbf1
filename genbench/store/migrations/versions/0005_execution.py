"""How the updates of a stage were executed: captured as CUDA graphs, or why not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("stages", sa.Column("execution", sa.Text()))
