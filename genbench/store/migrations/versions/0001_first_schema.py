"""The first schema: experiments, runs and what they leave, and the views on them.

A migration never changes once it is released, so it repeats what it needs of ``schema.py``.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables, then the views."""
    op.create_table(
        "environments",
        sa.Column("environment", sa.Integer(), nullable=False),
        text("digest"),
        text("host", nullable=True),
        text("platform", nullable=True),
        text("python", nullable=True),
        text("cpu", nullable=True),
        sa.Column("cpus", sa.Integer()),
        text("torch", nullable=True),
        text("genbench", nullable=True),
        text("body"),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_environments")),
        sa.UniqueConstraint("digest", name=op.f("uq_environments_digest")),
    )
    op.create_table(
        "experiments",
        text("experiment"),
        text("model"),
        text("dataset"),
        text("created_at"),
        sa.PrimaryKeyConstraint("experiment", name=op.f("pk_experiments")),
    )
    op.create_table(
        "metric_keys",
        sa.Column("key", sa.Integer(), nullable=False),
        text("name"),
        text("kind"),
        text("direction", nullable=True),
        text("unit", nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_metric_keys")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_metric_keys_kind_name")),
    )
    op.create_table(
        "protocols",
        text("protocol_hash"),
        text("body"),
        sa.PrimaryKeyConstraint("protocol_hash", name=op.f("pk_protocols")),
    )
    op.create_table(
        "store_info",
        text("key"),
        text("value", nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_store_info")),
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.Integer(), nullable=False),
        text("id"),
        text("name", nullable=True),
        text("status"),
        text("model"),
        text("dataset"),
        text("experiment"),
        text("digest"),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        text("device"),
        text("precision"),
        text("preset", nullable=True),
        sa.Column("epochs_planned", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.BigInteger()),
        count("epochs_done"),
        seconds("train_s"),
        seconds("wall_s"),
        sa.Column("checkpoint_step", sa.BigInteger()),
        sa.Column("checkpoint_epoch", sa.Integer()),
        text("created_at"),
        text("started_at", nullable=True),
        text("finished_at", nullable=True),
        text("heartbeat_at", nullable=True),
        text("host", nullable=True),
        sa.Column("pid", sa.Integer()),
        text("process_start", nullable=True),
        text("error", nullable=True),
        text("error_kind", nullable=True),
        sa.Column("environment", sa.Integer()),
        text("git_commit", nullable=True),
        sa.Column("git_dirty", sa.Integer()),
        text("spec"),
        sa.ForeignKeyConstraint(
            ["environment"], ["environments.environment"], name=op.f("fk_runs_environment")
        ),
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.experiment"], name=op.f("fk_runs_experiment")
        ),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
        sa.UniqueConstraint("name", name=op.f("uq_runs_name")),
    )
    op.create_index(op.f("ix_runs_experiment"), "runs", ["experiment"])
    op.create_index(op.f("ix_runs_model_dataset"), "runs", ["model", "dataset"])
    op.create_index(op.f("ix_runs_status"), "runs", ["status"])
    op.create_table(
        "artifacts",
        sa.Column("artifact", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        text("kind"),
        text("path"),
        sa.Column("epoch", sa.Integer()),
        text("digest"),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        text("created_at"),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_artifacts_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("run", "path", name=op.f("uq_artifacts_run_path")),
    )
    op.create_table(
        "draws",
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        text("stage"),
        text("sampler"),
        text("sampler_settings"),
        seconds("seconds"),
        text("diagnostics"),
        text("skipped"),
        text("created_at"),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_draws_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("draw", name=op.f("pk_draws")),
    )
    op.create_index(op.f("ix_draws_run_epoch"), "draws", ["run", "epoch"])
    op.create_table(
        "epoch_losses",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double()),
        count("nonfinite"),
        sa.ForeignKeyConstraint(["key"], ["metric_keys.key"], name=op.f("fk_epoch_losses_key")),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_epoch_losses_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "key", "epoch", name=op.f("pk_epoch_losses")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epochs",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        text("stage"),
        sa.Column("stage_epoch", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        count("images"),
        seconds("train_s"),
        seconds("eval_s"),
        seconds("wall_s"),
        count("peak_mem"),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_epochs_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "epoch", name=op.f("pk_epochs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_summary",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("first", sa.Double()),
        sa.Column("last", sa.Double()),
        sa.Column("min", sa.Double()),
        sa.Column("argmin", sa.BigInteger()),
        sa.Column("max", sa.Double()),
        count("n"),
        count("n_nonfinite"),
        sa.ForeignKeyConstraint(["key"], ["metric_keys.key"], name=op.f("fk_metric_summary_key")),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_metric_summary_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "key", name=op.f("pk_metric_summary")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "points",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double()),
        count("nonfinite"),
        sa.ForeignKeyConstraint(["key"], ["metric_keys.key"], name=op.f("fk_points_key")),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_points_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "key", "step", name=op.f("pk_points")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_params",
        sa.Column("run", sa.Integer(), nullable=False),
        text("key"),
        sa.Column("num", sa.Double()),
        text("text", nullable=True),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_run_params_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "key", name=op.f("pk_run_params")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_params_key_text"), "run_params", ["key", "text"])
    op.create_table(
        "run_parents",
        sa.Column("run", sa.Integer(), nullable=False),
        text("parent"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_run_parents_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "parent", name=op.f("pk_run_parents")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_parents_parent"), "run_parents", ["parent"])
    op.create_table(
        "run_tags",
        sa.Column("run", sa.Integer(), nullable=False),
        text("tag"),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_run_tags_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "tag", name=op.f("pk_run_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_tags_tag"), "run_tags", ["tag"])
    op.create_table(
        "stages",
        sa.Column("run", sa.Integer(), nullable=False),
        text("stage"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("first_epoch", sa.Integer()),
        sa.Column("steps_per_epoch", sa.Integer()),
        seconds("prepare_s"),
        count("epochs_done"),
        seconds("train_s"),
        seconds("first_epoch_s"),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_stages_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "stage", name=op.f("pk_stages")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evals",
        sa.Column("eval", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        text("stage"),
        text("sampler"),
        text("sampler_settings"),
        sa.Column("value", sa.Double()),
        count("nonfinite"),
        sa.Column("std", sa.Double()),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.Double()),
        text("protocol_hash"),
        seconds("seconds"),
        text("note"),
        text("created_at"),
        count("final"),
        sa.ForeignKeyConstraint(
            ["draw"], ["draws.draw"], name=op.f("fk_evals_draw"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key"], ["metric_keys.key"], name=op.f("fk_evals_key")),
        sa.ForeignKeyConstraint(
            ["protocol_hash"], ["protocols.protocol_hash"], name=op.f("fk_evals_protocol_hash")
        ),
        sa.ForeignKeyConstraint(
            ["run"], ["runs.run"], name=op.f("fk_evals_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("eval", name=op.f("pk_evals")),
    )
    op.create_index(op.f("ix_evals_draw"), "evals", ["draw"])
    op.create_index(
        "ix_evals_final",
        "evals",
        ["key", "run"],
        sqlite_where=sa.text("final = 1"),
        postgresql_where=sa.text("final = 1"),
    )
    op.create_index(op.f("ix_evals_run_epoch"), "evals", ["run", "epoch"])

    for name, body in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {body}")


def text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A column of text."""
    return sa.Column(name, sa.Text(), nullable=nullable)


def count(name: str) -> sa.Column[Any]:
    """A column that counts from 0."""
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def seconds(name: str) -> sa.Column[Any]:
    """A column of seconds from 0."""
    return sa.Column(name, sa.Double(), server_default=sa.text("0"), nullable=False)


HEAD = "r.id, r.name, r.model, r.dataset, r.preset, r.seed, r.experiment, r.status"

VIEWS = {
    "v_runs": f"""
SELECT {HEAD}, r.device, r.precision, r.epochs_done, r.epochs_planned, r.parameters,
  r.train_s, r.wall_s, r.created_at, r.started_at, r.finished_at, r.heartbeat_at, r.error,
  r.git_commit, r.git_dirty, e.host, e.platform, e.python, e.cpu, e.cpus, e.torch, e.genbench
FROM runs r LEFT JOIN environments e ON e.environment = r.environment""",
    "v_scores": f"""
SELECT {HEAD}, k.name AS metric, k.direction, k.unit, e.sampler, e.sampler_settings, e.value,
  e.std, e.n, e.floor, CASE WHEN e.floor > 0 THEN e.value / e.floor END AS floor_ratio, e.epoch,
  e.stage, e.protocol_hash, e.seconds AS score_s, r.train_s, r.wall_s, e.note, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
WHERE e.final = 1""",
    "v_score_history": f"""
SELECT {HEAD}, k.name AS metric, k.direction, e.sampler, e.sampler_settings, e.epoch, e.stage,
  (SELECT sum(p.train_s) FROM epochs p WHERE p.run = e.run AND p.epoch <= e.epoch)
  + (SELECT coalesce(sum(s.prepare_s), 0) FROM stages s
     WHERE s.run = e.run AND s.first_epoch <= e.epoch) AS train_s_so_far,
  e.value, e.std, e.n, e.floor, e.protocol_hash, e.final, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key""",
    "v_epochs": f"""
SELECT {HEAD}, p.epoch, p.stage, p.stage_epoch, p.step, p.images, p.train_s, p.eval_s, p.wall_s,
  CASE WHEN p.train_s > 0 THEN p.images / p.train_s END AS images_per_s, p.peak_mem
FROM epochs p JOIN runs r ON r.run = p.run""",
    "v_losses": f"""
SELECT {HEAD}, p.epoch, p.stage, p.stage_epoch, k.name AS loss, k.kind, l.value, l.nonfinite
FROM epoch_losses l JOIN runs r ON r.run = l.run JOIN metric_keys k ON k.key = l.key
JOIN epochs p ON p.run = l.run AND p.epoch = l.epoch""",
    "v_series": """
SELECT r.id, k.name AS series, k.kind, p.step, p.value, p.nonfinite
FROM points p JOIN runs r ON r.run = p.run JOIN metric_keys k ON k.key = p.key""",
    "v_stage_seconds": f"""
SELECT {HEAD}, s.position, s.stage, s.epochs, s.epochs_done, s.prepare_s, s.train_s,
  CASE WHEN s.epochs_done > 1 THEN (s.train_s - s.first_epoch_s) / (s.epochs_done - 1)
       WHEN s.epochs_done = 1 THEN s.train_s END AS epoch_s
FROM stages s JOIN runs r ON r.run = s.run""",
}
