"""The tables of the store as SQLAlchemy Core metadata; docs/store.md documents them.

Each change of a table needs a script in ``migrations/versions`` and increases
`version.SCHEMA_VERSION`; a test compares the two. In the database, runs and recorded series are
small integers (``run``, ``key``), so that ten million points need little space; users see
``runs.id`` and ``metric_keys.name``. Times are UTC ISO 8601 text, seconds are floats, and settings
are JSON text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import Connection

from genbench.store.views import create_views

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: Any, **options: Any) -> Table:
    return Table(name, metadata, *columns, **options)


def _text(name: str, **options: Any) -> Column[str]:
    nullable = options.pop("nullable", not options.get("primary_key"))
    return Column(name, Text, nullable=nullable, **options)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _seconds(name: str) -> Column[float]:
    return Column(name, Double, nullable=False, server_default=text("0"))


def _run(**options: Any) -> Column[int]:
    owner = ForeignKey("runs.run", ondelete="CASCADE")
    return Column("run", Integer, owner, nullable=False, **options)


def _key(**options: Any) -> Column[int]:
    return Column("key", Integer, ForeignKey("metric_keys.key"), nullable=False, **options)


# As alembic creates it.
schema_version = _table(
    "schema_version",
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="schema_version_pkc"),
)

store_info = _table("store_info", _text("key", primary_key=True), _text("value"))

experiments = _table(
    "experiments",
    _text("experiment", primary_key=True),
    _text("model", nullable=False),
    _text("dataset", nullable=False),
    _text("created_at", nullable=False),
)

environments = _table(
    "environments",
    Column("environment", Integer, primary_key=True),
    _text("digest", nullable=False, unique=True),
    _text("host"),
    _text("platform"),
    _text("python"),
    _text("cpu"),
    Column("cpus", Integer),
    _text("torch"),
    _text("genbench"),
    _text("body", nullable=False),
)

runs = _table(
    "runs",
    Column("run", Integer, primary_key=True),
    _text("id", nullable=False, unique=True),
    _text("name", unique=True),
    _text("status", nullable=False),
    _text("model", nullable=False),
    _text("dataset", nullable=False),
    Column("experiment", Text, ForeignKey("experiments.experiment"), nullable=False),
    _text("digest", nullable=False),
    Column("seed", BigInteger, nullable=False),
    _text("device", nullable=False),
    _text("precision", nullable=False),
    _text("preset"),
    Column("epochs_planned", Integer, nullable=False),
    Column("parameters", BigInteger),
    _count("epochs_done"),
    _seconds("train_s"),
    _seconds("wall_s"),
    Column("checkpoint_step", BigInteger),
    Column("checkpoint_epoch", Integer),
    _text("created_at", nullable=False),
    _text("started_at"),
    _text("finished_at"),
    _text("heartbeat_at"),
    _text("host"),
    Column("pid", Integer),
    _text("process_start"),
    _text("error"),
    _text("error_kind"),
    Column("environment", Integer, ForeignKey("environments.environment")),
    _text("git_commit"),
    Column("git_dirty", Integer),
    _text("spec", nullable=False),
    _text("note"),
    _text("archived_at"),
    Index(None, "experiment"),
    Index(None, "model", "dataset"),
    Index(None, "status"),
)
run_params = _table(
    "run_params",
    _run(primary_key=True),
    _text("key", primary_key=True),
    Column("num", Double),
    _text("text"),
    Index(None, "key", "text"),
    sqlite_with_rowid=False,
)

run_plugins = _table(
    "run_plugins",
    _run(primary_key=True),
    *(_text(name, primary_key=True) for name in ("kind", "name", "distribution", "version")),
    sqlite_with_rowid=False,
)

run_environments = _table(
    "run_environments",
    _run(primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("environment", Integer, ForeignKey("environments.environment"), nullable=False),
    sqlite_with_rowid=False,
)

run_tags = _table(
    "run_tags",
    _run(primary_key=True),
    _text("tag", primary_key=True),
    Index(None, "tag"),
    sqlite_with_rowid=False,
)

run_parents = _table(
    "run_parents",
    _run(primary_key=True),
    _text("parent", primary_key=True),
    Column("position", Integer, nullable=False),
    Index(None, "parent"),
    sqlite_with_rowid=False,
)

stages = _table(
    "stages",
    _run(primary_key=True),
    _text("stage", primary_key=True),
    Column("position", Integer, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("first_epoch", Integer),
    Column("steps_per_epoch", Integer),
    _seconds("prepare_s"),
    _count("epochs_done"),
    _seconds("train_s"),
    _seconds("first_epoch_s"),
    _text("execution"),
    sqlite_with_rowid=False,
)

epochs = _table(
    "epochs",
    _run(primary_key=True),
    Column("epoch", Integer, primary_key=True),
    _text("stage", nullable=False),
    Column("stage_epoch", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    _count("images"),
    _seconds("train_s"),
    _seconds("eval_s"),
    _seconds("wall_s"),
    _count("peak_mem"),
    Column("cpu_s", Double),
    Column("load", Double),
    sqlite_with_rowid=False,
)

metric_keys = _table(
    "metric_keys",
    Column("key", Integer, primary_key=True),
    _text("name", nullable=False),
    _text("kind", nullable=False),
    _text("direction"),
    _text("unit"),
    UniqueConstraint("kind", "name"),
)

epoch_losses = _table(
    "epoch_losses",
    _run(primary_key=True),
    _key(primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("value", Double),
    _count("nonfinite"),
    sqlite_with_rowid=False,
)

points = _table(
    "points",
    _run(primary_key=True),
    _key(primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("value", Double),
    _count("nonfinite"),
    sqlite_with_rowid=False,
)

metric_summary = _table(
    "metric_summary",
    _run(primary_key=True),
    _key(primary_key=True),
    Column("first", Double),
    Column("last", Double),
    Column("min", Double),
    Column("argmin", BigInteger),
    Column("max", Double),
    _count("n"),
    _count("n_nonfinite"),
    sqlite_with_rowid=False,
)

protocols = _table(
    "protocols",
    _text("protocol_hash", primary_key=True),
    _text("body", nullable=False),
)

draws = _table(
    "draws",
    Column("draw", Integer, primary_key=True),
    _run(),
    Column("epoch", Integer, nullable=False),
    _text("stage", nullable=False),
    _text("sampler", nullable=False),
    _text("sampler_settings", nullable=False),
    _seconds("seconds"),
    _text("diagnostics", nullable=False),
    _text("skipped", nullable=False),
    _text("created_at", nullable=False),
    Column("seed", BigInteger),
    Column("step", BigInteger),
    _text("origin", nullable=False, server_default=text("'run'")),
    _count("preferred"),
    Index(None, "run", "epoch"),
)

evals = _table(
    "evals",
    Column("eval", Integer, primary_key=True),
    _run(),
    Column("draw", Integer, ForeignKey("draws.draw", ondelete="CASCADE"), nullable=False),
    _key(),
    Column("epoch", Integer, nullable=False),
    _text("stage", nullable=False),
    _text("sampler", nullable=False),
    _text("sampler_settings", nullable=False),
    Column("value", Double),
    _count("nonfinite"),
    Column("std", Double),
    Column("n", BigInteger, nullable=False),
    Column("floor", Double),
    Column("protocol_hash", Text, ForeignKey("protocols.protocol_hash"), nullable=False),
    _seconds("seconds"),
    _text("note", nullable=False),
    _text("created_at", nullable=False),
    _count("final"),
    Column("draws", Integer, nullable=False, server_default=text("1")),
    Index(None, "run", "epoch"),
    Index(None, "draw"),
    Index(
        "ix_evals_final",
        "key",
        "run",
        sqlite_where=text("final = 1"),
        postgresql_where=text("final = 1"),
    ),
)

warnings = _table(
    "warnings",
    _run(primary_key=True),
    Column("epoch", Integer, primary_key=True),
    _text("kind", primary_key=True),
    _text("message", nullable=False),
    _text("created_at", nullable=False),
    sqlite_with_rowid=False,
)

artifacts = _table(
    "artifacts",
    Column("artifact", Integer, primary_key=True),
    _run(),
    _text("kind", nullable=False),
    _text("path", nullable=False),
    Column("epoch", Integer),
    _text("digest", nullable=False),
    Column("bytes", BigInteger, nullable=False),
    _text("created_at", nullable=False),
    UniqueConstraint("run", "path"),
)


def _ready(name: str, *first: str) -> Index:
    """An index of the tasks that can be claimed, in the order in which they are."""
    which = text("state = 'queued' AND waiting = 0")
    order = (text("priority DESC"), "task")
    return Index(name, *first, *order, sqlite_where=which, postgresql_where=which)


tasks = _table(
    "tasks",
    Column("task", Integer, primary_key=True),
    _text("batch", nullable=False),
    _text("identity", nullable=False),
    _text("title", nullable=False),
    _text("state", nullable=False),
    _text("command", nullable=False),
    _text("device", nullable=False),
    Column("threads", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    _count("attempts"),
    _text("answer"),
    _text("error"),
    _text("host"),
    Column("pid", Integer),
    _text("process_start"),
    _text("heartbeat_at"),
    _text("created_at", nullable=False),
    _text("started_at"),
    _text("finished_at"),
    UniqueConstraint("batch", "identity"),
    Index(None, "state"),
    _ready("ix_tasks_ready"),
    _ready("ix_tasks_ready_in_batch", "batch"),
)


def _task(name: str) -> Column[int]:
    return Column(name, Integer, ForeignKey("tasks.task", ondelete="CASCADE"), primary_key=True)


task_parents = _table(
    "task_parents", _task("task"), _task("parent"), Index(None, "parent"), sqlite_with_rowid=False
)

# A run that is deleted leaves its id here, and its task makes another one.
task_runs = _table(
    "task_runs", _task("task"), _text("run_id", primary_key=True), sqlite_with_rowid=False
)

tunings = _table(
    "tunings",
    Column("tuning", Integer, primary_key=True),
    _text("name", nullable=False, unique=True),
    _text("digest", nullable=False, unique=True),
    _text("body", nullable=False),
    _text("paces", nullable=False, server_default=text("'{}'")),
    _text("created_at", nullable=False),
)

proposals = _table(
    "proposals",
    Column("tuning", Integer, ForeignKey("tunings.tuning", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("confirms", Integer),
    _text("settings", nullable=False),
    _text("notes", nullable=False),
    Column("seed", BigInteger, nullable=False),
    _text("run_id"),
    _text("created_at", nullable=False),
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)


benches = _table(
    "benches",
    Column("bench", Integer, primary_key=True),
    _text("created_at", nullable=False),
    _text("model", nullable=False),
    _text("dataset", nullable=False),
    _text("experiment", nullable=False),
    _text("device", nullable=False),
    _text("body", nullable=False),
    Column("environment", Integer, ForeignKey("environments.environment"), nullable=False),
)


@event.listens_for(metadata, "after_create")
def _create_views(target: MetaData, connection: Connection, **options: Any) -> None:
    create_views(connection)
