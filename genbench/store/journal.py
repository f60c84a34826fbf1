"""What a run leaves while it works, as statements: points, epochs, stages, artifacts, the rewind.

Each function works in the transaction of the connection it gets, on the run's number. Whatever is
derived (summaries, sums over epochs) is brought up to date in that same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import case, delete, or_, select, text, update
from sqlalchemy.engine import Connection

from genbench.events import Checkpointed, EpochDone, StageStarted, Warned
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
    """The numbers of recorded series, made where they are new."""
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
    """Insert points of several series and bring their summaries up to date."""
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
    """Insert an epoch with its losses; validation means are also points of their series."""
    row = {
        "run": run,
        "epoch": done.epoch,
        "stage": done.stage,
        "stage_epoch": done.stage_epoch,
        "step": done.step,
        "images": done.images,
        "train_s": done.train_s,
        "eval_s": done.eval_s,
        "wall_s": done.wall_s,
        "peak_mem": done.peak_mem,
        "cpu_s": done.cpu_s,
        "load": done.load,
    }
    insert_or_replace(connection, epochs, [row], key=("run", "epoch"))
    keys = keys_of(connection, done.losses)
    losses = []
    for name, loss in done.losses.items():
        value, flag = split(loss)
        head = {"run": run, "key": keys[name], "epoch": done.epoch}
        losses.append({**head, "value": value, "nonfinite": flag})
    insert_or_replace(connection, epoch_losses, losses, key=("run", "key", "epoch"))
    validation = {n: [(done.step, v)] for n, v in done.losses.items() if _kind(n) == "validation"}
    add_points(connection, run, validation)
    recount(connection, run)


def start_stage(connection: Connection, run: int, started: StageStarted) -> None:
    """Note what is known of a stage when it starts; after a resume its preparation is not added."""
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
    """Note up to where the run is safe on disk."""
    values = {"checkpoint_step": saved.step, "checkpoint_epoch": saved.epoch}
    connection.execute(update(runs).where(runs.c.run == run).values(values))


def add_artifact(connection: Connection, run: int, row: Mapping[str, Any]) -> None:
    """Insert a file of the run; one that was written again replaces the earlier row."""
    full = {"run": run, **row, "created_at": now()}
    insert_or_replace(connection, artifacts, [full], key=("run", "path"))


def add_warning(connection: Connection, run: int, warned: Warned) -> None:
    """Insert what a run was warned of; the same one again replaces the earlier row."""
    head = {"run": run, "epoch": warned.epoch, "kind": warned.kind}
    row = {**head, "message": warned.message, "created_at": now()}
    insert_or_replace(connection, warnings, [row], key=tuple(head))


def rewind(connection: Connection, run: int, *, step: int, epoch: int) -> None:
    """Delete everything after a checkpoint, because it is done again.

    What an evaluation has added was taken on a checkpoint, which is this one or an earlier one.
    At step 0 there is no checkpoint (any more).
    """
    values = {"checkpoint_step": step or None, "checkpoint_epoch": epoch if step else None}
    connection.execute(update(runs).where(runs.c.run == run).values(values))
    connection.execute(delete(points).where(points.c.run == run, points.c.step > step))
    connection.execute(_FORGET_OPEN_END, {"run": run, "epoch": epoch})
    # a draw takes its scores along
    for table in (epochs, epoch_losses, draws, artifacts, warnings):
        connection.execute(delete(table).where(table.c.run == run, table.c.epoch > epoch))
    later = draws.c.epoch == epoch, draws.c.step > step
    connection.execute(delete(draws).where(draws.c.run == run, *later))
    at = run_environments.c
    # From this step on the run is where its process is now; what was noted there is done again.
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
    """Bring the sums over a run's epochs up to date, in its stages and its head."""
    connection.execute(_RECOUNT_STAGES, {"run": run})
    connection.execute(_RECOUNT_RUN, {"run": run})


# A checkpoint may be of the last step of an epoch that had not ended: what is stored at its end
# has the same step, and will be stored again.
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
