"""The views: the tables, joined for queries of users, in SQL for both SQLite and PostgreSQL.

``status`` is the stored one: it stays "running" if the process of a run was killed (see
``heartbeat_at``); `Store.runs` shows such a run as lost.

A migration creates all views again. To change one, increase `version.SCHEMA_VERSION`; the script of
that version may be empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_HEAD = "r.id, r.name, r.model, r.dataset, r.preset, r.seed, r.experiment, r.status"

VIEWS = {
    "v_runs": f"""
SELECT {_HEAD}, r.device, r.precision, r.epochs_done, r.epochs_planned, r.parameters,
  r.train_s, r.wall_s, r.created_at, r.started_at, r.finished_at, r.heartbeat_at, r.error,
  r.git_commit, r.git_dirty, r.note, r.archived_at,
  e.host, e.platform, e.python, e.cpu, e.cpus, e.torch, e.genbench,
  (SELECT count(DISTINCT u.environment) FROM run_environments u WHERE u.run = r.run) AS environments
FROM runs r LEFT JOIN environments e ON e.environment = r.environment""",
    "v_scores": f"""
SELECT {_HEAD}, k.name AS metric, k.direction, k.unit, e.sampler, e.sampler_settings, e.value,
  e.std, e.n, e.draws, e.floor, CASE WHEN e.floor > 0 THEN e.value / e.floor END AS floor_ratio,
  e.epoch, e.stage, d.seed AS draw_seed, d.origin, e.protocol_hash, e.seconds AS score_s,
  r.train_s, r.wall_s, e.note, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
JOIN draws d ON d.draw = e.draw
WHERE e.final = 1""",
    "v_score_history": f"""
SELECT {_HEAD}, k.name AS metric, k.direction, e.sampler, e.sampler_settings, e.epoch, d.step,
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
SELECT {_HEAD}, p.epoch, p.stage, p.stage_epoch, p.step, p.images, p.train_s, p.cpu_s, p.load,
  p.eval_s, p.wall_s,
  CASE WHEN p.train_s > 0 THEN p.images / p.train_s END AS images_per_s, p.peak_mem
FROM epochs p JOIN runs r ON r.run = p.run""",
    "v_losses": f"""
SELECT {_HEAD}, p.epoch, p.stage, p.stage_epoch, k.name AS loss, k.kind, l.value, l.nonfinite
FROM epoch_losses l JOIN runs r ON r.run = l.run JOIN metric_keys k ON k.key = l.key
JOIN epochs p ON p.run = l.run AND p.epoch = l.epoch""",
    "v_plugins": f"""
SELECT {_HEAD}, p.kind, p.name AS part, p.distribution, p.version
FROM run_plugins p JOIN runs r ON r.run = p.run""",
    "v_warnings": f"""
SELECT {_HEAD}, w.epoch, w.kind, w.message, w.created_at
FROM warnings w JOIN runs r ON r.run = w.run""",
    "v_series": """
SELECT r.id, k.name AS series, k.kind, p.step, p.value, p.nonfinite
FROM points p JOIN runs r ON r.run = p.run JOIN metric_keys k ON k.key = p.key""",
    "v_stage_seconds": f"""
SELECT {_HEAD}, s.position, s.stage, s.epochs, s.epochs_done, s.prepare_s, s.train_s,
  CASE WHEN s.epochs_done > 1 THEN (s.train_s - s.first_epoch_s) / (s.epochs_done - 1)
       WHEN s.epochs_done = 1 THEN s.train_s END AS epoch_s
FROM stages s JOIN runs r ON r.run = s.run""",
}


def create_views(connection: Connection) -> None:
    """Create all views on the current tables."""
    for name, body in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {body}")
