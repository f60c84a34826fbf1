"""Copy a whole store into an empty one, of either kind, and merge the runs of one into another.

A copy keeps every number, also those that only the database knows, and is verified row by row
before it is committed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Integer, Table, Text, func, insert, select, text
from sqlalchemy.engine import Connection

from genbench.errors import StoreError, UsageError
from genbench.store.bundle import Imported, export_runs, import_runs
from genbench.store.records import Status
from genbench.store.run_files import RunFiles, parse_files
from genbench.store.schema import metadata, store_info, task_runs, tasks
from genbench.store.store import Store
from genbench.store.tasks import Task
from genbench.store.upsert import insert_missing, insert_or_replace

CHUNK = 5_000
"""Rows that are held at once."""

TASK_OF = "task of run "
"""The beginning of the key in ``store_info`` under which a worker's own store has a run's task."""

TABLES = tuple(
    table for table in metadata.sorted_tables if table.name not in ("schema_version", "store_info")
)
"""All tables with content, each after those that it refers to."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How many rows of each table were copied and compared, and the runs with new folders."""

    rows: dict[str, int] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


def copy_store(source: Store, target: Store) -> Copied:
    """Copy all rows into an empty store, in one transaction, then the folders of the runs.

    Raises UsageError if the target isn't empty or a run is still running, and StoreError, with
    nothing changed, if a row can't be read back as it was.
    """
    running = source.runs(status=Status.RUNNING, limit=1)
    if running:
        raise UsageError(f"run {running[0].id} is still running; copy the store when it has ended")
    if target.files.address is None and source.files.address is not None:
        target.use_files(source.files.address)
    with source.transaction() as there, target.transaction() as here:
        for table in TABLES:
            if here.execute(select(func.count()).select_from(table)).scalar_one():
                raise UsageError(
                    f"the store {target} is not empty: it has rows in '{table.name}'; give a new "
                    "one, or use genbench store merge"
                )
        counted = {table.name: _copy(there, here, table) for table in TABLES}
        for table in TABLES:
            _compare(there, here, table, target)
        if target.files.address is not None:
            _store_address(here, target.files.address)
    return Copied(rows=counted, folders=_copy_folders(source, target))


def _copy(there: Connection, here: Connection, table: Table) -> int:
    count, rows = 0, _rows(there, table)
    while chunk := list(islice(rows, CHUNK)):
        names = table.columns.keys()
        here.execute(insert(table), [dict(zip(names, row, strict=True)) for row in chunk])
        count += len(chunk)
    if here.dialect.name == "postgresql" and count:
        _set_sequence(here, table)
    return count


def _set_sequence(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows after those that were copied with their numbers."""
    key = list(table.primary_key.columns)
    if len(key) == 1 and isinstance(key[0].type, Integer):
        name = key[0].name
        found = text("SELECT pg_get_serial_sequence(:table, :column)")
        given = {"table": table.name, "column": name}
        sequence = connection.execute(found, given).scalar()
        if sequence is not None:
            highest = f"(SELECT max({name}) FROM {table.name})"
            connection.execute(text(f"SELECT setval(:sequence, {highest})"), {"sequence": sequence})


def _rows(connection: Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """The rows in the order of their keys, which is the same in all databases."""
    c_order = "C" if connection.dialect.name == "postgresql" else "BINARY"
    order = [
        column.collate(c_order) if isinstance(column.type, Text) else column
        for column in table.primary_key.columns
    ]
    streamed = connection.execution_options(yield_per=CHUNK)
    for row in streamed.execute(select(table).order_by(*order)):
        yield tuple(row)


def _compare(there: Connection, here: Connection, table: Table, target: Store) -> None:
    for number, (one, other) in enumerate(zip_longest(_rows(there, table), _rows(here, table))):
        if one != other:
            raise StoreError(
                f"row {number + 1} of table '{table.name}' is not the same in {target} as in the "
                "store that was copied; nothing was copied"
            )


def _copy_folders(source: Store, target: Store) -> list[str]:
    """Copy the files of runs to the other store, unless both keep them in one place."""
    if source.files.address is not None and source.files.address == target.files.address:
        return []
    made = [run.id for run in source.runs() if source.copy_files(run.id, target.files)]
    for run_id in made:
        if target.folder(run_id).is_dir():
            target.mark(run_id)
    return made


def move_files(store: Store, address: str, *, moved: bool = False) -> list[str]:
    """Copy the files of all runs to another address, then store it; return the ids of the runs.

    ``moved``: the files are there already. The old ones are left where they are. Raises UsageError
    while a run is running, and StoreError, with the old address kept, if one can't be copied.
    """
    if running := store.runs(status=Status.RUNNING, limit=1):
        raise UsageError(f"run {running[0].id} is still running; wait until it has ended")
    new = RunFiles(parse_files(address), store.runs_folder)
    new.check()
    copied = [] if moved else [run.id for run in store.runs() if store.copy_files(run.id, new)]
    with store.transaction() as connection:
        _store_address(connection, parse_files(address))
    store.use_files(address)
    return copied


def _store_address(connection: Connection, address: str) -> None:
    row = {"key": "files", "value": address}
    insert_or_replace(connection, store_info, [row], key=("key",))


def merge_store(
    spool: Store, target: Store, run_ids: Sequence[str] | None = None
) -> tuple[Imported, Sequence[str]]:
    """Take the runs of one store into another; return what came in, and the ids still running.

    With ``run_ids``, only these are taken. A run is linked to its task, if that is in the target.
    A run that is there with equal content stays, so merging twice is merging once. Raises
    UsageError, with nothing changed, for a run of the same id with other content.
    """
    runs = spool.runs()
    running = [run.id for run in runs if run.status is Status.RUNNING]
    if run_ids is None:
        ended = [run.id for run in reversed(runs) if run.id not in running]
    else:
        ended = list(run_ids)
    with tempfile.TemporaryDirectory(prefix="genbench-merge-") as folder:
        path = Path(folder) / "runs.zip"
        export_runs(spool, ended, path)
        found = import_runs(target, path)
    _link_tasks(spool, target, ended)
    return found, running


def note_task(spool: Store, task: Task, run_ids: Sequence[str]) -> None:
    """Store in a worker's own store which task of another store its runs belong to."""
    value = json.dumps([task.batch, task.identity])
    rows = [{"key": f"{TASK_OF}{run_id}", "value": value} for run_id in run_ids]
    with spool.transaction() as connection:
        insert_or_replace(connection, store_info, rows, key=("key",))


def _link_tasks(spool: Store, target: Store, run_ids: Sequence[str]) -> None:
    """Link runs that came from a worker's own store to their tasks, so that none is made twice."""
    noted: dict[str, str] = dict(spool.rows("SELECT key, value FROM store_info"))
    with target.transaction() as connection:
        for run_id in run_ids:
            batch, identity = json.loads(noted.get(f"{TASK_OF}{run_id}", "[null, null]"))
            of_task = (tasks.c.batch == batch) & (tasks.c.identity == identity)
            for (number,) in connection.execute(select(tasks.c.task).where(of_task)).all():
                insert_missing(connection, task_runs, [{"task": number, "run_id": run_id}])
