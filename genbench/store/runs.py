"""Find runs in the store: by reference, by conditions, and by their place in the family tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from genbench.errors import AmbiguousRunError, NoSuchRunError, suggest
from genbench.store.process import Owner, is_lost, this_process
from genbench.store.reader import Rows, RowSource
from genbench.store.records import Run, Status

_NAMES = [field.name for field in fields(Run) if field.name not in ("tags", "parents")]

FEW_IDS = 10
"""The maximum number of ids in a message."""


def resolve(reader: RowSource, ref: str) -> str:
    """The id for a reference: ``@1``, an id, a name, or the beginning of exactly one id.

    Raises NoSuchRunError, or AmbiguousRunError with the ids.
    """
    if ref.startswith("@"):
        return _newest(reader, ref)
    same = reader.rows("SELECT id FROM runs WHERE id = :ref OR name = :ref", {"ref": ref})
    if same:
        return str(same[0][0])
    found: Rows = []
    if ref.isalnum():
        beginning = {"ref": f"{ref.lower()}%"}
        found = reader.rows("SELECT id FROM runs WHERE id LIKE :ref ORDER BY run DESC", beginning)
    if len(found) == 1:
        return str(found[0][0])
    if found:
        ids = ", ".join(row[0] for row in found[:FEW_IDS])
        more = f" and {len(found) - FEW_IDS} more" if len(found) > FEW_IDS else ""
        raise AmbiguousRunError(
            f"'{ref}' fits {len(found)} runs: {ids}{more}; give more characters"
        )
    names = [row[0] for row in reader.rows("SELECT name FROM runs WHERE name IS NOT NULL")]
    hint = suggest(ref, names) if names else ""
    raise no_such_run(ref, hint if hint.startswith("; did") else "")


def no_such_run(ref: str, more: str = "") -> NoSuchRunError:
    """The error for a reference without a run; ``more`` follows in the message."""
    return NoSuchRunError(f"no run '{ref}' in this store{more}", hint="See: genbench runs")


def _newest(reader: RowSource, ref: str) -> str:
    place = int(ref[1:]) if ref[1:].isdecimal() else 0
    count = reader.rows("SELECT count(*) FROM runs WHERE archived_at IS NULL")[0][0]
    if not 1 <= place <= count:
        raise no_such_run(ref, f": @1 is the newest of its {count}")
    statement = (
        "SELECT id FROM runs WHERE archived_at IS NULL ORDER BY run DESC LIMIT 1 OFFSET :skip"
    )
    return str(reader.rows(statement, {"skip": place - 1})[0][0])


def select_runs(reader: RowSource, conditions: Mapping[str, Any], limit: int | None) -> list[Run]:
    """The runs that meet all conditions (None: any), newest first, with their derived status.

    Conditions: id, model, dataset, tag, experiment (or its beginning), status, archived.
    """
    given = {name: value for name, value in conditions.items() if value is not None}
    where = [_CONDITIONS[name] for name in given]
    status = given.get("status")
    if status is not None:
        # A lost run is "running" in the table; only its process or heartbeat shows that it is lost.
        given["status"] = "running" if status == Status.LOST else str(status)
    derived = status in (Status.RUNNING, Status.LOST)
    if "experiment" in given:
        given["experiment"] = f"{given['experiment']}%"
    sql = f"SELECT run, pid, process_start, {', '.join(_NAMES)} FROM runs"
    sql += f" WHERE {' AND '.join(where)}" if where else ""
    sql += " ORDER BY run DESC"
    if limit is not None and not derived:
        sql += f" LIMIT {int(limit)}"
    found = list(_records(reader, reader.rows(sql, given)))
    if derived:
        found = [run for run in found if run.status == status][:limit]
    return found


_CONDITIONS = {
    "id": "id = :id",
    "model": "model = :model",
    "dataset": "dataset = :dataset",
    "status": "status = :status",
    "experiment": "experiment LIKE :experiment",
    "tag": "run IN (SELECT run FROM run_tags WHERE tag = :tag)",
    "archived": "(archived_at IS NOT NULL) = :archived",
}


def _records(reader: RowSource, rows: Rows) -> Iterable[Run]:
    if not rows:
        return
    span = {"low": rows[-1][0], "high": rows[0][0]}
    tags = _lists(reader, "SELECT run, tag FROM run_tags", "tag", span)
    parents = _lists(reader, "SELECT run, parent FROM run_parents", "position", span)
    for number, pid, started, *values in rows:
        columns = dict(zip(_NAMES, values, strict=True))
        columns["status"] = _status(columns, pid, started)
        columns["host"] = columns["host"] and columns["host"].partition("#")[0]
        yield Run(**columns, tags=tuple(tags[number]), parents=tuple(parents[number]))


def _lists(
    reader: RowSource, select: str, order: str, span: Mapping[str, Any]
) -> defaultdict[int, list[str]]:
    lists: defaultdict[int, list[str]] = defaultdict(list)
    sql = f"{select} WHERE run BETWEEN :low AND :high ORDER BY run, {order}"
    for number, value in reader.rows(sql, span):
        lists[number].append(value)
    return lists


def _status(columns: Mapping[str, Any], pid: int | None, started: str | None) -> Status:
    status = Status(columns["status"])
    if status is Status.RUNNING and is_lost(
        Owner(host=columns["host"], pid=pid, started=started) if pid else None,
        columns["heartbeat_at"],
    ):
        return Status.LOST
    return status


def children(reader: RowSource, run_id: str) -> list[str]:
    """The ids of the runs that have this run as a parent, oldest first."""
    sql = "SELECT r.id FROM run_parents p JOIN runs r ON r.run = p.run WHERE p.parent = :parent"
    return [str(row[0]) for row in reader.rows(f"{sql} ORDER BY r.run", {"parent": run_id})]


def running_here(reader: RowSource) -> list[str]:
    """The ids of the running runs of this process."""
    own = this_process()
    rows = reader.rows(
        "SELECT id, process_start FROM runs WHERE status = 'running' AND pid = :pid "
        "AND host = :host ORDER BY run",
        {"pid": own.pid, "host": own.host},
    )
    return [str(run_id) for run_id, started in rows if started == own.started]


def number_of(reader: RowSource, run_id: str) -> int:
    """The number of a run in the other tables. Raises NoSuchRunError."""
    rows = reader.rows("SELECT run FROM runs WHERE id = :id", {"id": run_id})
    if not rows:
        raise no_such_run(run_id)
    return int(rows[0][0])
