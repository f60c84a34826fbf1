"""Scores and seconds of all runs at once, for comparing: one statement and light records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from genbench.store.reader import Rows, RowSource
from genbench.store.records import StageSeconds, Standing, Status
from genbench.store.runs import select_runs

_Row = TypeVar("_Row", Standing, StageSeconds)


def standings(reader: RowSource, conditions: Mapping[str, Any]) -> list[Standing]:
    """The final scores of the runs that meet the conditions, in the order of the runs."""
    sql = """
SELECT r.experiment, r.model, r.dataset, r.preset, r.seed, r.id, r.name, r.status, k.name,
  k.direction, k.unit, e.sampler, e.sampler_settings, e.value, e.std, e.n, e.floor,
  e.protocol_hash, e.epoch, e.note, e.seconds, r.train_s, r.device, r.precision, e.created_at
FROM evals e JOIN runs r ON r.run = e.run JOIN metric_keys k ON k.key = e.key
WHERE e.final = 1"""
    rows = _filtered(reader, sql, conditions, "ORDER BY r.run, e.eval")
    return _with_lost(reader, [Standing._make(row) for row in rows])


def stage_seconds(reader: RowSource, conditions: Mapping[str, Any]) -> list[StageSeconds]:
    """What the stages of those runs cost, in the order of the runs and their stages."""
    sql = """
SELECT r.experiment, r.model, r.dataset, r.seed, r.id, r.status, s.position, s.stage, s.epochs,
  s.epochs_done, s.prepare_s, s.train_s,
  CASE WHEN s.epochs_done > 1 THEN (s.train_s - s.first_epoch_s) / (s.epochs_done - 1)
       WHEN s.epochs_done = 1 THEN s.train_s END
FROM stages s JOIN runs r ON r.run = s.run WHERE 1 = 1"""
    rows = _filtered(reader, sql, conditions, "ORDER BY r.run, s.position")
    return _with_lost(reader, [StageSeconds._make(row) for row in rows])


_FILTERS = {
    "model": "r.model = :model",
    "dataset": "r.dataset = :dataset",
    "tag": "r.run IN (SELECT run FROM run_tags WHERE tag = :tag)",
    "metric": "k.name = :metric",
}


def _filtered(reader: RowSource, sql: str, conditions: Mapping[str, Any], order: str) -> Rows:
    given = {name: value for name, value in conditions.items() if value is not None}
    return reader.rows(
        " AND ".join([sql, *(_FILTERS[name] for name in given)]) + " " + order, given
    )


def _with_lost(reader: RowSource, rows: list[_Row]) -> list[_Row]:
    running = {row.run for row in rows if row.status == "running"}
    if not running:
        return rows
    lost = {run.id for run in select_runs(reader, {"status": Status.LOST}, None)}
    return [row._replace(status="lost") if row.run in lost else row for row in rows]
