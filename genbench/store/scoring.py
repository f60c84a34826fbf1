"""Scores as statements: a draw of samples, its scores, and which of them are final.

Law: in a run that has ended no score is ever overwritten; a new one stands beside it, and the
newest is the final one. While a run works, an evaluation that is done again replaces the first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select, text
from sqlalchemy.engine import Connection

from genbench.contracts import Score
from genbench.events import Evaluated
from genbench.spec import canonical_json, content_hash
from genbench.store.records import Status
from genbench.store.schema import draws, evals, metric_keys, protocols, runs
from genbench.store.upsert import insert_missing, insert_or_replace
from genbench.store.values import now, split

SAMPLING = "sampling"
"""The key of `Evaluated.seconds` that is no metric."""


def add_evaluation(connection: Connection, run: int, evaluated: Evaluated) -> None:
    """Store the scores of one draw."""
    draw = _draw_row(run, evaluated)
    number = connection.execute(insert(draws).values(draw).returning(draws.c.draw)).scalar_one()
    common = {
        name: draw[name]
        for name in ("run", "epoch", "stage", "sampler", "sampler_settings", "created_at")
    }
    common["draw"] = number
    rows = [
        {**common, "seconds": evaluated.seconds.get(score.metric, 0.0), **_score(connection, score)}
        for score in evaluated.scores
    ]
    status = connection.execute(select(runs.c.status).where(runs.c.run == run)).scalar_one()
    if status == Status.RUNNING:
        _delete_same(connection, rows)
        connection.execute(_DROP_REDONE_DRAWS, {**draw, "newest": number})
    if rows:
        connection.execute(insert(evals), rows)
    mark_final(connection, run)


def mark_final(connection: Connection, run: int) -> None:
    """Mark the scores that stand for the run: its last evaluated epoch's, the newest of a kind."""
    connection.execute(_CLEAR_FINAL, {"run": run})
    connection.execute(_MARK_FINAL, {"run": run})


def _draw_row(run: int, evaluated: Evaluated) -> dict[str, Any]:
    return {
        "run": run,
        "epoch": evaluated.epoch,
        "stage": evaluated.stage,
        "sampler": evaluated.sampler,
        "sampler_settings": canonical_json(dict(evaluated.sampler_settings)),
        "seconds": evaluated.seconds.get(SAMPLING, 0.0),
        "diagnostics": canonical_json(
            {name: split(value)[0] for name, value in evaluated.diagnostics.items()}
        ),
        "skipped": canonical_json(dict(evaluated.skipped)),
        "created_at": now(),
    }


def _score(connection: Connection, score: Score) -> dict[str, Any]:
    protocol = dict(score.protocol)
    protocol_hash = content_hash(protocol)
    body = {"protocol_hash": protocol_hash, "body": canonical_json(protocol)}
    insert_missing(connection, protocols, [body])
    value, flag = split(score.value)
    return {
        "key": _metric_key(connection, score),
        "value": value,
        "nonfinite": flag,
        "std": split(score.std)[0],
        "n": score.n,
        "draws": score.draws,
        "floor": split(score.floor)[0],
        "protocol_hash": protocol_hash,
        "note": score.note,
    }


def _metric_key(connection: Connection, score: Score) -> int:
    row = {"kind": "score", "name": score.metric}
    row |= {"direction": score.direction, "unit": score.unit}
    insert_or_replace(connection, metric_keys, [row], key=("kind", "name"))
    c = metric_keys.c
    wanted = select(c.key).where(c.kind == "score", c.name == score.metric)
    return int(connection.execute(wanted).scalar_one())


def _delete_same(connection: Connection, rows: list[dict[str, Any]]) -> None:
    same = ("run", "epoch", "sampler", "sampler_settings", "key", "protocol_hash")
    for row in rows:
        connection.execute(delete(evals).where(*(evals.c[name] == row[name] for name in same)))


_DROP_REDONE_DRAWS = text("""
DELETE FROM draws WHERE run = :run AND draw <> :newest AND epoch = :epoch AND sampler = :sampler
  AND sampler_settings = :sampler_settings
  AND NOT EXISTS (SELECT 1 FROM evals e WHERE e.draw = draws.draw)
""")

_CLEAR_FINAL = text("UPDATE evals SET final = 0 WHERE run = :run AND final = 1")

_MARK_FINAL = text("""
UPDATE evals SET final = 1 WHERE eval IN (
  SELECT max(e.eval) FROM evals e
  WHERE e.run = :run AND e.epoch = (SELECT max(l.epoch) FROM evals l WHERE l.run = :run)
  GROUP BY e.key, e.sampler, e.sampler_settings, e.protocol_hash)
""")
