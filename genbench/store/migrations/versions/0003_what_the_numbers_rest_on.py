"""Plugin versions, environments, CPU seconds, and the seed and the origin of draws.

In the rows that are stored already, a draw that was made after the end of its run comes from an
evaluation. All others are those of the run, drawn with its seed. The scores of the run become final
again if a later evaluation replaced them as such. Points are counted again, since points of
validation series were counted twice.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and the columns, and fill them."""
    op.create_table(
        "run_plugins",
        sa.Column("run", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in PLUGIN),
        run_key("run_plugins"),
        sa.PrimaryKeyConstraint("run", *PLUGIN, name=op.f("pk_run_plugins")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_environments",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.Integer(), nullable=False),
        run_key("run_environments"),
        sa.ForeignKeyConstraint(
            ["environment"],
            ["environments.environment"],
            name=op.f("fk_run_environments_environment"),
        ),
        sa.PrimaryKeyConstraint("run", "step", name=op.f("pk_run_environments")),
        sqlite_with_rowid=False,
    )
    op.add_column("epochs", sa.Column("cpu_s", sa.Double()))
    op.add_column("epochs", sa.Column("load", sa.Double()))
    ours, no = sa.text("'run'"), sa.text("0")
    for column in (
        sa.Column("seed", sa.BigInteger()),
        sa.Column("step", sa.BigInteger()),
        sa.Column("origin", sa.Text(), nullable=False, server_default=ours),
        sa.Column("preferred", sa.BigInteger(), nullable=False, server_default=no),
    ):
        op.add_column("draws", column)
    for statement in DATA:
        op.execute(statement)


def run_key(table: str) -> sa.ForeignKeyConstraint:
    """The foreign key of the rows of a table to their run."""
    name = op.f(f"fk_{table}_run")
    return sa.ForeignKeyConstraint(["run"], ["runs.run"], name=name, ondelete="CASCADE")


PLUGIN = ("kind", "name", "distribution", "version")

DATA = (
    """
INSERT INTO run_environments (run, step, environment)
SELECT run, 0, environment FROM runs WHERE environment IS NOT NULL""",
    """
UPDATE draws SET origin = 'evaluate' WHERE EXISTS (
  SELECT 1 FROM runs r WHERE r.run = draws.run AND r.finished_at < draws.created_at)""",
    """
UPDATE draws SET seed = (SELECT r.seed FROM runs r WHERE r.run = draws.run)
WHERE origin = 'run'""",
    """
UPDATE metric_summary SET
  n = (SELECT count(*) FROM points p
       WHERE p.run = metric_summary.run AND p.key = metric_summary.key),
  n_nonfinite = (SELECT count(*) FROM points p
       WHERE p.run = metric_summary.run AND p.key = metric_summary.key AND p.nonfinite <> 0)""",
    "UPDATE evals SET final = 0 WHERE final = 1",
    """
UPDATE evals SET final = 1 WHERE eval IN (
  SELECT eval FROM (
    SELECT e.eval, rank() OVER (PARTITION BY e.run ORDER BY e.epoch DESC) AS age,
      row_number() OVER (
        PARTITION BY e.run, e.epoch, e.key, e.sampler, e.sampler_settings, e.protocol_hash
        ORDER BY CASE d.origin WHEN 'run' THEN 0 ELSE 1 END, e.eval) AS place
    FROM evals e JOIN draws d ON d.draw = e.draw) AS placed
  WHERE age = 1 AND place = 1)""",
)
