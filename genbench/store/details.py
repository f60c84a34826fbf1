"""What the store knows of one run, by its number: rows in, records out."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from genbench.store.reader import RowSource
from genbench.store.records import (
    Artifact,
    Draw,
    Epoch,
    PartVersion,
    ScoreRecord,
    StageRecord,
    Summary,
    WarningRecord,
)
from genbench.store.values import flat_params, param_value


def stages(reader: RowSource, run: int) -> list[StageRecord]:
    """The stages in order."""
    columns = ("index", "name", "epochs", "prepare_s", "epochs_done", "train_s")
    rows = reader.rows(
        "SELECT position, stage, epochs, prepare_s, epochs_done, train_s FROM stages "
        "WHERE run = :run ORDER BY position",
        {"run": run},
    )
    return [StageRecord(**dict(zip(columns, row, strict=True))) for row in rows]


def epochs(reader: RowSource, run: int) -> list[Epoch]:
    """The epochs in order, with the means of their losses."""
    losses: defaultdict[int, dict[str, float | None]] = defaultdict(dict)
    for epoch, name, value in reader.rows(
        "SELECT l.epoch, k.name, l.value FROM epoch_losses l JOIN metric_keys k ON k.key = l.key "
        "WHERE l.run = :run ORDER BY k.key",
        {"run": run},
    ):
        losses[epoch][name] = value
    names = (
        "epoch, stage, stage_epoch, step, images, train_s, eval_s, wall_s, peak_mem, cpu_s, load"
    )
    rows = reader.rows(f"SELECT {names} FROM epochs WHERE run = :run ORDER BY epoch", {"run": run})
    heads = [dict(zip(names.split(", "), row, strict=True)) for row in rows]
    return [Epoch(**head, losses=losses[head["epoch"]]) for head in heads]


def scores(reader: RowSource, run: int) -> list[ScoreRecord]:
    """All scores, by epoch and then in the order in which they were taken."""
    names = (
        "metric, value, std, n, draws, direction, unit, floor, sampler, sampler_settings, epoch, "
        "stage, protocol, protocol_hash, seconds, note, created_at, final, seed, origin, step, draw"
    )
    rows = reader.rows(
        "SELECT k.name, e.value, e.std, e.n, e.draws, k.direction, k.unit, e.floor, e.sampler, "
        "e.sampler_settings, e.epoch, e.stage, p.body, e.protocol_hash, e.seconds, e.note, "
        "e.created_at, e.final, d.seed, d.origin, d.step, d.draw FROM evals e "
        "JOIN metric_keys k ON k.key = e.key JOIN draws d ON d.draw = e.draw "
        "JOIN protocols p ON p.protocol_hash = e.protocol_hash "
        "WHERE e.run = :run ORDER BY e.epoch, e.eval",
        {"run": run},
    )
    records = []
    for row in rows:
        values = dict(zip(names.split(", "), row, strict=True))
        values["sampler_settings"] = json.loads(values["sampler_settings"])
        values["protocol"] = json.loads(values["protocol"])
        values["final"] = bool(values["final"])
        records.append(ScoreRecord(**values))
    return records


def draws(reader: RowSource, run: int) -> list[Draw]:
    """The draws of samples, by epoch."""
    names = (
        "epoch, stage, sampler, sampler_settings, seconds, diagnostics, skipped, created_at, seed, "
        "origin, step"
    )
    records = []
    for row in reader.rows(
        f"SELECT {names} FROM draws WHERE run = :run ORDER BY epoch, draw", {"run": run}
    ):
        values = dict(zip(names.split(", "), row, strict=True))
        for name in ("sampler_settings", "diagnostics", "skipped"):
            values[name] = json.loads(values[name])
        records.append(Draw(**values))
    return records


def warnings(reader: RowSource, run: int) -> list[WarningRecord]:
    """What a run was warned of, by epoch."""
    names = ("epoch", "kind", "message", "created_at")
    rows = reader.rows(
        f"SELECT {', '.join(names)} FROM warnings WHERE run = :run ORDER BY epoch, kind",
        {"run": run},
    )
    return [WarningRecord(**dict(zip(names, row, strict=True))) for row in rows]


def plugins(reader: RowSource, run: int) -> list[PartVersion]:
    """The parts of a run with the distributions and versions that they came from."""
    names = ("kind", "name", "distribution", "version")
    rows = reader.rows(
        f"SELECT {', '.join(names)} FROM run_plugins WHERE run = :run ORDER BY {', '.join(names)}",
        {"run": run},
    )
    return [PartVersion(**dict(zip(names, row, strict=True))) for row in rows]


def artifacts(reader: RowSource, run: int) -> list[Artifact]:
    """The files, in the order in which they were made."""
    names = "kind, path, epoch, digest, bytes"
    rows = reader.rows(
        f"SELECT {names} FROM artifacts WHERE run = :run ORDER BY created_at, artifact",
        {"run": run},
    )
    return [Artifact(**dict(zip(names.split(", "), row, strict=True))) for row in rows]


def series(reader: RowSource, run: int, name: str) -> list[tuple[int, float | None]]:
    """The points of one series by step; none for a name that was not recorded."""
    rows = reader.rows(
        "SELECT p.step, p.value FROM points p JOIN metric_keys k ON k.key = p.key "
        "WHERE p.run = :run AND k.name = :name AND k.kind <> 'score' ORDER BY p.step",
        {"run": run, "name": name},
    )
    return [(step, value) for step, value in rows]


def summaries(reader: RowSource, run: int) -> list[Summary]:
    """What each series was in all, by name."""
    names = ("key", "first", "last", "min", "argmin", "max", "n", "n_nonfinite")
    rows = reader.rows(
        "SELECT k.name, s.first, s.last, s.min, s.argmin, s.max, s.n, s.n_nonfinite "
        "FROM metric_summary s JOIN metric_keys k ON k.key = s.key "
        "WHERE s.run = :run ORDER BY k.name",
        {"run": run},
    )
    return [Summary(**dict(zip(names, row, strict=True))) for row in rows]


def environment(reader: RowSource, run: int) -> dict[str, Any]:
    """The stored description with the code's commit; empty where none was given."""
    rows = reader.rows(
        "SELECT e.body, r.git_commit, r.git_dirty FROM runs r "
        "JOIN environments e ON e.environment = r.environment WHERE r.run = :run",
        {"run": run},
    )
    if not rows:
        return {}
    body, commit, dirty = rows[0]
    code = {"git_commit": commit, "git_dirty": bool(dirty)} if commit else {}
    return {**json.loads(body), **code}


def environments(reader: RowSource, run: int) -> list[tuple[int, dict[str, Any]]]:
    """The environments of a run, each with the step after which it was there."""
    rows = reader.rows(
        "SELECT u.step, e.body FROM run_environments u "
        "JOIN environments e ON e.environment = u.environment WHERE u.run = :run ORDER BY u.step",
        {"run": run},
    )
    return [(step, json.loads(body)) for step, body in rows]


def params(reader: RowSource, run: int) -> dict[str, Any]:
    """The spec under flat names, with the types it was given, and what it left to defaults."""
    (row,) = reader.rows("SELECT spec FROM runs WHERE run = :run", {"run": run})
    given = flat_params(json.loads(row[0]))
    rows = reader.rows("SELECT key, num, text FROM run_params WHERE run = :run", {"run": run})
    left = {key: param_value(num, text) for key, num, text in rows if key not in given}
    return dict(sorted({**given, **left}.items()))
