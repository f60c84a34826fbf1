"""Store the progress of a run: points, epochs, stages, artifacts, warnings, and the rewind.

Each function works in the transaction of the given connection, on the number of a run. Everything
that is derived (summaries, sums over epochs) is updated in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import case, delete, or_, select, text, update
from sqlalchemy.engine import Connection

from genbench.events import Checkpointed, EpochDone, StageStarted, TrainedEpoch, Warned
from genbench.spec import canonical_json
from genbench.store.schema import (
    artifacts,
    draws,
    epoch_losses,
    epochs,
    metric_keys,
    metric_summary,
    points,
    run_environments,
    runs,
    stages,
    warnings,
)
from genbench.store.scoring import mark_final
from genbench.store.upsert import insert_missing, insert_or_replace, insert_or_update
from genbench.store.values import now, split

Series = Mapping[str, Sequence[tuple[int, float]]]


def keys_of(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The numbers of recorded series; new series are added."""
    wanted = set(names)
    of_series = metric_keys.c.kind != "score"
    query = select(metric_keys.c.name, metric_keys.c.key).where(
        metric_keys.c.name.in_(wanted), of_series
    )
    found = {row.name: row.key for row in connection.execute(query)}
    missing = [{"name": name, "kind": _kind(name)} for name in sorted(wanted - found.keys())]
    if missing:
        insert_missing(connection, metric_keys, missing)
        found = {row.name: row.key for row in connection.execute(query)}
    return found


def _kind(name: str) -> str:
    head = name.partition("/")[0]
    return {"test": "validation", "monitor": "monitor", "watch": "watch"}.get(head, "loss")


def add_points(connection: Connection, run: int, series: Series) -> None:
    """Insert points of several series and update their summaries."""
    keys = keys_of(connection, series)
    rows, summaries = [], []
    for name, values in series.items():
        head = {"run": run, "key": keys[name]}
        flagged = [(step, *split(value)) for step, value in values]
        rows += [{**head, "step": s, "value": v, "nonfinite": flag} for s, v, flag in flagged]
        if flagged:
            summaries.append({**head, **_summary(flagged)})
    insert_or_replace(connection, points, rows, key=("run", "key", "step"))
    insert_or_update(
        connection, metric_summary, summaries, key=("run", "key"), update=_merged_summary
    )


def _summary(flagged: Sequence[tuple[int, float | None, int]]) -> dict[str, Any]:
    finite = [(value, step) for step, value, _ in flagged if value is not None]
    low = min(finite, default=(None, None))
    return {
        "first": flagged[0][1],
        "last": flagged[-1][1],
        "min": low[0],
        "argmin": low[1],
        "max": max(finite)[0] if finite else None,
        "n": len(flagged),
        "n_nonfinite": len(flagged) - len(finite),
    }


def _merged_summary(new: Any) -> dict[str, Any]:
    old = metric_summary.c
    lower = or_(old["min"].is_(None), new["min"] < old["min"])
    higher = or_(old["max"].is_(None), new["max"] > old["max"])
    return {
        "last": new["last"],
        "min": case((lower, new["min"]), else_=old["min"]),
        "argmin": case((lower, new["argmin"]), else_=old["argmin"]),
        "max": case((higher, new["max"]), else_=old["max"]),
        "n": old["n"] + new["n"],
        "n_nonfinite": old["n_nonfinite"] + new["n_nonfinite"],
    }


def add_epoch(connection: Connection, run: int, done: EpochDone) -> None:
    """Insert an epoch with its losses; validation means are also points of their series.

    The execution of its phases replaces that of the epoch before.
    """
    row = {field.name: getattr(done, field.name) for field in fields(TrainedEpoch)}
    insert_or_replace(connection, epochs, [{"run": run, **row}], key=("run", "epoch"))
    keys = keys_of(connection, done.losses)
    losses = []
    for name, loss in done.losses.items():
        value, flag = split(loss)
        head = {"run": run, "key": keys[name], "epoch": done.epoch}
        losses.append({**head, "value": value, "nonfinite": flag})
    insert_or_replace(connection, epoch_losses, losses, key=("run", "key", "epoch"))
    validation = {n: [(done.step, v)] for n, v in done.losses.items() if _kind(n) == "validation"}
    add_points(connection, run, validation)
    if done.execution:
        found = {name: asdict(execution) for name, execution in done.execution.items()}
        mine = stages.c.run == run, stages.c.stage == done.stage
        values = {"execution": canonical_json(found)}
        connection.execute(update(stages).where(*mine).values(values))
    recount(connection, run)


def start_stage(connection: Connection, run: int, started: StageStarted) -> None:
    """Store a stage when it starts; after a resume, its preparation replaces the former one."""
    row = {
        "run": run,
        "stage": started.stage,
        "position": started.index,
        "epochs": started.epochs,
        "first_epoch": started.first_epoch,
        "steps_per_epoch": started.steps_per_epoch,
        "prepare_s": started.prepare_s,
    }
    insert_or_replace(connection, stages, [row], key=("run", "stage"))


def note_checkpoint(connection: Connection, run: int, saved: Checkpointed) -> None:
    """Store up to which step the run is safe on disk."""
    values = {"checkpoint_step": saved.step, "checkpoint_epoch": saved.epoch}
    connection.execute(update(runs).where(runs.c.run == run).values(values))


def add_artifact(connection: Connection, run: int, row: Mapping[str, Any]) -> None:
    """Insert a file of the run; a file that was written again replaces its row."""
    full = {"run": run, **row, "created_at": now()}
    insert_or_replace(connection, artifacts, [full], key=("run", "path"))


def add_warning(connection: Connection, run: int, warned: Warned) -> None:
    """Insert a warning; a warning of the same kind at the same epoch is replaced."""
    head = {"run": run, "epoch": warned.epoch, "kind": warned.kind}
    row = {**head, "message": warned.message, "created_at": now()}
    insert_or_replace(connection, warnings, [row], key=tuple(head))


def rewind(connection: Connection, run: int, *, step: int, epoch: int) -> None:
    """Delete everything after a checkpoint, since it will be repeated.

    Scores that an evaluation has added are of this checkpoint or an earlier one. At step 0, there
    is no checkpoint, or it was removed.
    """
    values = {"checkpoint_step": step or None, "checkpoint_epoch": epoch if step else None}
    connection.execute(update(runs).where(runs.c.run == run).values(values))
    connection.execute(delete(points).where(points.c.run == run, points.c.step > step))
    connection.execute(_FORGET_OPEN_END, {"run": run, "epoch": epoch})
    # Deleting a draw deletes its scores.
    for table in (epochs, epoch_losses, draws, artifacts, warnings):
        connection.execute(delete(table).where(table.c.run == run, table.c.epoch > epoch))
    later = draws.c.epoch == epoch, draws.c.step > step
    connection.execute(delete(draws).where(draws.c.run == run, *later))
    at = run_environments.c
    # From this step on, the run has its current environment.
    connection.execute(delete(run_environments).where(at.run == run, at.step >= step))
    connection.execute(_NOTE_ENVIRONMENT, {"run": run, "step": step})
    connection.execute(delete(metric_summary).where(metric_summary.c.run == run))
    connection.execute(_REBUILD_SUMMARIES, {"run": run})
    mark_final(connection, run)
    recount(connection, run)


_NOTE_ENVIRONMENT = text("""
INSERT INTO run_environments (run, step, environment)
SELECT r.run, :step, r.environment FROM runs r
WHERE r.run = :run AND r.environment IS NOT NULL AND r.environment <> coalesce(
  (SELECT u.environment FROM run_environments u WHERE u.run = :run
   ORDER BY u.step DESC LIMIT 1), -1)
""")


def recount(connection: Connection, run: int) -> None:
    """Update the sums over the epochs of a run, in its stages and its head."""
    connection.execute(_RECOUNT_STAGES, {"run": run})
    connection.execute(_RECOUNT_RUN, {"run": run})


# A checkpoint may be at the last step of an epoch that has not ended. The points at the end of the
# epoch have the same step, and will be stored again.
_FORGET_OPEN_END = text("""
DELETE FROM points WHERE run = :run
  AND key IN (SELECT key FROM metric_keys WHERE kind IN ('validation', 'watch'))
  AND step > (SELECT coalesce(max(e.step), 0) FROM epochs e
              WHERE e.run = :run AND e.epoch <= :epoch)
""")

_REBUILD_SUMMARIES = text("""
INSERT INTO metric_summary (run, key, first, last, min, argmin, max, n, n_nonfinite)
SELECT g.run, g.key,
  (SELECT p.value FROM points p WHERE p.run = g.run AND p.key = g.key AND p.step = g.begins),
  (SELECT p.value FROM points p WHERE p.run = g.run AND p.key = g.key AND p.step = g.ends),
  g.low,
  (SELECT min(p.step) FROM points p WHERE p.run = g.run AND p.key = g.key AND p.value = g.low),
  g.high, g.n, g.n_nonfinite
FROM (SELECT run, key, min(step) AS begins, max(step) AS ends, min(value) AS low,
        max(value) AS high, count(*) AS n,
        sum(CASE WHEN nonfinite <> 0 THEN 1 ELSE 0 END) AS n_nonfinite
      FROM points WHERE run = :run GROUP BY run, key) g
""")

_RECOUNT_STAGES = text("""
UPDATE stages SET
  epochs_done = (SELECT count(*) FROM epochs e WHERE e.run = stages.run AND e.stage = stages.stage),
  train_s = (SELECT coalesce(sum(e.train_s), 0) FROM epochs e
             WHERE e.run = stages.run AND e.stage = stages.stage),
  first_epoch_s = (SELECT coalesce(sum(e.train_s), 0) FROM epochs e
             WHERE e.run = stages.run AND e.stage = stages.stage AND e.stage_epoch = 1)
WHERE run = :run
""")

_RECOUNT_RUN = text("""
UPDATE runs SET
  epochs_done = (SELECT count(*) FROM epochs e WHERE e.run = runs.run),
  train_s = (SELECT coalesce(sum(e.train_s), 0) FROM epochs e WHERE e.run = runs.run),
  wall_s = (SELECT coalesce(sum(e.wall_s), 0) FROM epochs e WHERE e.run = runs.run)
WHERE run = :run
""")
