"""Open a store: inspect the address, check the version of the schema, create a new store.

Several processes may create a store at once: the first one that gets the lock creates the tables in
one transaction, and the others find them.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Literal

from genbench import __version__
from genbench.errors import NoStoreError, StoreError
from genbench.store import version
from genbench.store.address import Address
from genbench.store.failures import BUSY_TIMEOUT_S, is_busy, store_errors
from genbench.store.reader import connect_read_only

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.database import Database

Mode = Literal["create", "write", "read"]


def open_sqlite(address: Address, mode: Mode) -> None:
    """Check that there is a store with the current schema, or make one. Raises StoreError."""
    with store_errors(address):
        found = _inspect(address, mode)
        if found is None:
            _create_sqlite(address)
        else:
            _check_version(address, *found, mode)


def open_other(address: Address, database: Database, mode: Mode) -> None:
    """The same for a database that SQLAlchemy connects to."""
    with store_errors(address):
        with database.engine.connect() as connection:
            found = _version_in(connection)
        if found is None:
            if mode != "create":
                raise _absent(address)
            with database.transaction() as connection:
                _create_tables(connection)
        else:
            _check_version(address, *found, mode)


def _inspect(address: Address, mode: Mode) -> tuple[int, str | None] | None:
    """(schema, version of genbench) of the SQLite file; None if it must be created."""
    path = address.path
    assert path is not None
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder; give a file, such as {path}/runs.db")
    if not path.exists():
        _check_place(address, mode)
        return None
    if not os.access(path, os.R_OK):
        raise StoreError(f"the store {path} can't be read: no permission")
    if mode != "read" and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise StoreError(
            f"the store {path} is read-only, and this command writes; make the file and its "
            "folder writable, or give another --store"
        )
    # Only SQLite may open the file, since closing it drops all locks that this process has on it.
    with closing(connect_read_only(path)) as connection:
        return _inspect_tables(address, mode, connection)


def _check_place(address: Address, mode: Mode) -> None:
    assert address.path is not None
    folder = address.path.parent
    if mode != "create":
        raise _absent(address)
    if not folder.is_dir():
        raise StoreError(
            f"the folder {folder} of the store doesn't exist", hint=f"To make it: mkdir -p {folder}"
        )
    if not os.access(folder, os.W_OK):
        raise StoreError(f"a store can't be created in {folder}: the folder is read-only")


def _absent(address: Address) -> NoStoreError:
    return NoStoreError(f"no store at {address}", hint="To make one: genbench run MODEL DATASET")


def _inspect_tables(
    address: Address, mode: Mode, connection: sqlite3.Connection
) -> tuple[int, str | None] | None:
    if _pragma(connection, "application_id") == version.APPLICATION_ID:
        (found,) = connection.execute("SELECT max(version_num) FROM schema_version").fetchone()
        if not str(found).isdecimal():
            raise StoreError(
                f"the store {address} is damaged: its schema_version is {found!r}, where a number "
                "is expected; put a backup in its place"
            )
        wrote = connection.execute("SELECT value FROM store_info WHERE key = 'genbench'").fetchone()
        return int(found), wrote[0] if wrote else None
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{address} is a database, but not a genbench store; give another --store")
    if mode != "create":
        raise StoreError(
            f"the store {address} is empty; delete it",
            hint="To make a new one: genbench run MODEL DATASET",
        )
    return None


def _check_version(address: Address, found: int, wrote: str | None, mode: Mode) -> None:
    if found > version.SCHEMA_VERSION:
        raise version.too_new(str(address), found, wrote)
    if found < version.SCHEMA_VERSION:
        if mode == "read":
            raise version.too_old(str(address), found)
        from genbench.store.migrate import migrate

        migrate(address)


def _create_sqlite(address: Address) -> None:
    from genbench.store.database import Database

    assert address.path is not None
    _enable_wal(address)
    database = Database(address)
    try:
        with database.transaction() as connection:
            ours = connection.exec_driver_sql("PRAGMA application_id").scalar()
            if ours != version.APPLICATION_ID:
                _create_tables(connection)
                connection.exec_driver_sql(f"PRAGMA application_id = {version.APPLICATION_ID}")
    finally:
        database.close()


def _enable_wal(address: Address) -> None:
    # SQLite doesn't wait for this lock, since it has no busy handler while it changes the mode.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    with closing(sqlite3.connect(str(address.path), timeout=BUSY_TIMEOUT_S)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return


def _create_tables(connection: Connection) -> None:
    from sqlalchemy import insert

    from genbench.store import schema
    from genbench.store.database import lock_schema

    if connection.dialect.name == "postgresql":
        lock_schema(connection)
        if _version_in(connection) is not None:
            return
    schema.metadata.create_all(connection, checkfirst=False)
    number = {"version_num": str(version.SCHEMA_VERSION).zfill(4)}
    connection.execute(insert(schema.schema_version).values(number))
    connection.execute(insert(schema.store_info).values(key="genbench", value=__version__))


def _version_in(connection: Connection) -> tuple[int, str | None] | None:
    from sqlalchemy import inspect, select

    from genbench.store import schema

    if not inspect(connection).has_table("schema_version"):
        return None
    found = connection.execute(select(schema.schema_version.c.version_num)).scalar_one()
    info = schema.store_info.c
    wrote = connection.execute(select(info.value).where(info.key == "genbench")).scalar()
    return int(found), wrote


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
