"""Find runs in the store: by reference, by conditions, and by their place in the family tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from genbench.store.filters import Filter, condition, order
from genbench.store.process import Owner, is_lost, this_process
from genbench.store.reader import Rows, RowSource
from genbench.store.records import Run, Status
from genbench.store.references import no_such_run

_NAMES = [field.name for field in fields(Run) if field.name not in ("tags", "parents")]


def select_runs(
    reader: RowSource,
    filters: Iterable[Filter],
    limit: int | None,
    sort: str | None = None,
    skip: int = 0,
) -> list[Run]:
    """The runs that meet all filters, newest first or by a key, with their derived status.

    A ``sort`` is a key of a filter (`genbench.store.filters`); "-" before it reverses the order.
    Runs without a value come last. With a limit, the first ``skip`` runs are left out.
    """
    where, parameters = condition(reader, filters)
    ways = ["r.run DESC"]
    if sort:
        keys, more = order(reader, sort.removeprefix("-"))
        way = "DESC" if sort.startswith("-") else "ASC"
        ways = [part for key in keys for part in (f"{key} IS NULL", f"{key} {way}")] + ways
        parameters |= more
    sql = f"SELECT run, pid, process_start, {', '.join(_NAMES)} FROM runs r WHERE {where}"
    sql += f" ORDER BY {', '.join(ways)}"
    if limit is not None:
        sql += f" LIMIT {int(limit)} OFFSET {int(skip)}"
    return list(_records(reader, reader.rows(sql, parameters)))


def _records(reader: RowSource, rows: Rows) -> Iterable[Run]:
    if not rows:
        return
    numbers = [row[0] for row in rows]
    span = {"low": min(numbers), "high": max(numbers)}
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
    owner = Owner(host=columns["host"], pid=pid, started=started) if pid else None
    if status is Status.RUNNING and is_lost(owner, columns["heartbeat_at"]):
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
