"""Store draws of samples with their scores, and mark the final scores.

Law: scores are replaced only by the running run itself (its recorder), and only its own, when it
computes them again. `genbench evaluate` adds scores. The *final* scores are those of the last
weights that were scored, one of each kind (metric, sampler, its settings, protocol): the preferred
one, else the run's own, else the first. So an added score doesn't become final unless asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.engine import Connection

from genbench.contracts import Score
from genbench.events import Evaluated
from genbench.spec import canonical_json, content_hash
from genbench.store.schema import draws, evals, metric_keys, protocols
from genbench.store.upsert import insert_missing, insert_or_replace
from genbench.store.values import now, split

SAMPLING = "sampling"
"""The key of the seconds of the sampler in `Evaluated.seconds`; the others are metrics."""

RUN, EVALUATE = "run", "evaluate"
"""The origin of a draw: the run itself, or a later evaluation."""


def add_evaluation(
    connection: Connection,
    run: int,
    evaluated: Evaluated,
    *,
    origin: str = EVALUATE,
    preferred: bool = False,
) -> None:
    """Store the scores of one draw; with origin `RUN`, they replace those of an earlier attempt.

    ``preferred`` scores become the final ones of their kinds.
    """
    draw = _draw_row(run, evaluated)
    draw |= {"origin": origin, "preferred": int(preferred)}
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
    if origin == RUN:
        _delete_same(connection, rows)
        connection.execute(_DROP_REDONE_DRAWS, {**draw, "newest": number})
    if rows:
        connection.execute(insert(evals), rows)
    asked = [*evaluated.computed, *evaluated.skipped]
    _settle_skipped(connection, {**draw, "draw": number}, asked)
    mark_final(connection, run)


def _settle_skipped(connection: Connection, draw: dict[str, Any], asked: Sequence[str]) -> None:
    """Remove the metrics of this draw from ``skipped`` of earlier draws of the same kind."""
    c = draws.c
    same = (c[name] == draw[name] for name in ("run", "epoch", "sampler", "sampler_settings"))
    earlier = select(c.draw, c.skipped).where(*same, c.draw < draw["draw"], c.skipped != "{}")
    for number, skipped in connection.execute(earlier).all():
        left = {name: why for name, why in json.loads(skipped).items() if name not in asked}
        settled = update(draws).where(c.draw == number)
        connection.execute(settled.values(skipped=canonical_json(left)))


def mark_final(connection: Connection, run: int) -> None:
    """Mark the final scores of a run, by the law above."""
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
        "seed": evaluated.seed,
        "step": evaluated.step,
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
        own = select(draws.c.draw).where(draws.c.run == row["run"], draws.c.origin == RUN)
        equal = (evals.c[name] == row[name] for name in same)
        connection.execute(delete(evals).where(*equal, evals.c.draw.in_(own)))


_DROP_REDONE_DRAWS = text("""
DELETE FROM draws WHERE run = :run AND draw <> :newest AND epoch = :epoch AND sampler = :sampler
  AND sampler_settings = :sampler_settings AND origin = 'run'
  AND NOT EXISTS (SELECT 1 FROM evals e WHERE e.draw = draws.draw)
""")

_CLEAR_FINAL = text("UPDATE evals SET final = 0 WHERE run = :run AND final = 1")

_MARK_FINAL = text("""
UPDATE evals SET final = 1 WHERE eval IN (
  SELECT eval FROM (
    SELECT e.eval, rank() OVER (ORDER BY e.epoch DESC, coalesce(d.step, 0) DESC) AS age,
      row_number() OVER (
        PARTITION BY e.epoch, d.step, e.key, e.sampler, e.sampler_settings, e.protocol_hash
        ORDER BY d.preferred DESC, CASE WHEN d.preferred = 1 THEN -e.eval ELSE 0 END,
          CASE d.origin WHEN 'run' THEN 0 ELSE 1 END, e.eval) AS place
    FROM evals e JOIN draws d ON d.draw = e.draw WHERE e.run = :run) AS placed
  WHERE age = 1 AND place = 1)
""")
