"""What numbers rest on: versions of plugins, machines, CPU seconds, the seed and origin of draws.

Of what is stored already: a draw that was made after its run had ended is an evaluation's, all
others are the run's own, drawn with its seed; the run's own scores are final again where a later
evaluation had displaced them; points are counted again, for validation series were told twice.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and columns, fill them, and make the views that show them."""
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
    for name in ("v_runs", "v_scores", "v_score_history", "v_epochs"):
        op.execute(f"DROP VIEW {name}")
    for name, body in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {body}")


def run_key(table: str) -> sa.ForeignKeyConstraint:
    """The reference of a table's rows to their run."""
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

HEAD = "r.id, r.name, r.model, r.dataset, r.preset, r.seed, r.experiment, r.status"

VIEWS = {
    "v_runs": f"""
SELECT {HEAD}, r.device, r.precision, r.epochs_done, r.epochs_planned, r.parameters,
  r.train_s, r.wall_s, r.created_at, r.started_at, r.finished_at, r.heartbeat_at, r.error,
  r.git_commit, r.git_dirty, e.host, e.platform, e.python, e.cpu, e.cpus, e.torch, e.genbench,
  (SELECT count(DISTINCT u.environment) FROM run_environments u WHERE u.run = r.run) AS environments
FROM runs r LEFT JOIN environments e ON e.environment = r.environment""",
    "v_scores": f"""
SELECT {HEAD}, k.name AS metric, k.direction, k.unit, e.sampler, e.sampler_settings, e.value,
  e.std, e.n, e.draws, e.floor, CASE WHEN e.floor > 0 THEN e.value / e.floor END AS floor_ratio,
  e.epoch, e.stage, d.seed AS draw_seed, d.origin, e.protocol_hash, e.seconds AS score_s,
  r.train_s, r.wall_s, e.note, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
JOIN draws d ON d.draw = e.draw
WHERE e.final = 1""",
    "v_score_history": f"""
SELECT {HEAD}, k.name AS metric, k.direction, e.sampler, e.sampler_settings, e.epoch, d.step,
  e.stage,
  (SELECT sum(p.train_s) FROM epochs p
   WHERE p.run = e.run AND p.epoch <= e.epoch + CASE WHEN d.step > 0 THEN 1 ELSE 0 END)
  + (SELECT coalesce(sum(s.prepare_s), 0) FROM stages s WHERE s.run = e.run
     AND s.first_epoch <= e.epoch + CASE WHEN d.step > 0 THEN 1 ELSE 0 END) AS train_s_so_far,
  e.value, e.std, e.n, e.draws, e.floor, d.seed AS draw_seed, d.origin, e.protocol_hash, e.final,
  e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
JOIN draws d ON d.draw = e.draw""",
    "v_epochs": f"""
SELECT {HEAD}, p.epoch, p.stage, p.stage_epoch, p.step, p.images, p.train_s, p.cpu_s, p.load,
  p.eval_s, p.wall_s,
  CASE WHEN p.train_s > 0 THEN p.images / p.train_s END AS images_per_s, p.peak_mem
FROM epochs p JOIN runs r ON r.run = p.run""",
    "v_plugins": f"""
SELECT {HEAD}, p.kind, p.name AS part, p.distribution, p.version
FROM run_plugins p JOIN runs r ON r.run = p.run""",
}
