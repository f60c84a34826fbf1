"""A note on a run, and the moment at which it was archived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, and make the view that shows them."""
    op.add_column("runs", sa.Column("note", sa.Text()))
    op.add_column("runs", sa.Column("archived_at", sa.Text()))
    op.execute("DROP VIEW v_runs")
    op.execute(f"CREATE VIEW v_runs AS {RUNS}")


RUNS = """
SELECT r.id, r.name, r.model, r.dataset, r.preset, r.seed, r.experiment, r.status,
  r.device, r.precision, r.epochs_done, r.epochs_planned, r.parameters,
  r.train_s, r.wall_s, r.created_at, r.started_at, r.finished_at, r.heartbeat_at, r.error,
  r.git_commit, r.git_dirty, r.note, r.archived_at,
  e.host, e.platform, e.python, e.cpu, e.cpus, e.torch, e.genbench,
  (SELECT count(DISTINCT u.environment) FROM run_environments u WHERE u.run = r.run) AS environments
FROM runs r LEFT JOIN environments e ON e.environment = r.environment"""
