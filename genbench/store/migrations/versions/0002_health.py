"""What a run was warned of, and how many draws a score is the mean of.

A score that was stored before counts as one of a single draw.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table, the column, and the views that show them."""
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
    for name in ("v_scores", "v_score_history"):
        op.execute(f"DROP VIEW {name}")
    for name, body in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {body}")


HEAD = "r.id, r.name, r.model, r.dataset, r.preset, r.seed, r.experiment, r.status"

VIEWS = {
    "v_scores": f"""
SELECT {HEAD}, k.name AS metric, k.direction, k.unit, e.sampler, e.sampler_settings, e.value,
  e.std, e.n, e.draws, e.floor, CASE WHEN e.floor > 0 THEN e.value / e.floor END AS floor_ratio,
  e.epoch, e.stage, e.protocol_hash, e.seconds AS score_s, r.train_s, r.wall_s, e.note, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
WHERE e.final = 1""",
    "v_score_history": f"""
SELECT {HEAD}, k.name AS metric, k.direction, e.sampler, e.sampler_settings, e.epoch, e.stage,
  (SELECT sum(p.train_s) FROM epochs p WHERE p.run = e.run AND p.epoch <= e.epoch)
  + (SELECT coalesce(sum(s.prepare_s), 0) FROM stages s
     WHERE s.run = e.run AND s.first_epoch <= e.epoch) AS train_s_so_far,
  e.value, e.std, e.n, e.draws, e.floor, e.protocol_hash, e.final, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key""",
    "v_warnings": f"""
SELECT {HEAD}, w.epoch, w.kind, w.message, w.created_at
FROM warnings w JOIN runs r ON r.run = w.run""",
}
