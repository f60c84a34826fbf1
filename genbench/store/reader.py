"""The reading side: connections that can't write, with plain SQL and named parameters.

An SQLite file is read through sqlite3 itself, for SQLAlchemy's import (130 ms) would be most of
what ``genbench runs`` and ``genbench compare`` may cost; any other database through SQLAlchemy.
All columns are integers, floats and text, so both give the same rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from genbench.errors import UsageError
from genbench.store.address import Address
from genbench.store.failures import BUSY_TIMEOUT_S, told_plainly

if TYPE_CHECKING:
    from sqlalchemy import Engine

Rows = list[tuple[Any, ...]]

_HARMLESS_PRAGMAS = {
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "foreign_key_list",
    "database_list",
    "integrity_check",
    "quick_check",
}
_HARMLESS_ACTIONS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


class RowSource(Protocol):
    """What statements can be asked of: a reader, or a store."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement with ``:name`` parameters."""


class Reader(RowSource, Protocol):
    """Reads committed rows."""

    def query(self, sql: str) -> tuple[list[str], Rows]:
        """Columns and rows of a person's statement; UsageError for one that fails or writes."""

    def close(self) -> None:
        """Close the connection."""


class SqliteReader:
    """Reads an SQLite file through one read-only connection."""

    def __init__(self, address: Address) -> None:
        assert address.path is not None
        self._address = address
        self._lock = threading.Lock()
        with told_plainly(address):
            self._connection = connect_read_only(address.path)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement."""
        with self._lock, told_plainly(self._address):
            return self._connection.execute(sql, parameters or {}).fetchall()

    def query(self, sql: str) -> tuple[list[str], Rows]:
        """Columns and rows of a statement that reads; nothing else is let through."""
        assert self._address.path is not None
        with told_plainly(self._address):
            connection = connect_read_only(self._address.path)
        connection.set_authorizer(_only_reading)
        try:
            with told_plainly(self._address):
                try:
                    cursor = connection.execute(sql)
                    return [column[0] for column in cursor.description or ()], cursor.fetchall()
                except (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.Warning) as e:
                    raise _bad_statement(e) from e
                except sqlite3.DatabaseError as e:
                    if getattr(e, "sqlite_errorname", "") == "SQLITE_AUTH":
                        raise UsageError(
                            "genbench query only reads; give one SELECT statement"
                        ) from e
                    raise
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class EngineReader:
    """Reads any other database through SQLAlchemy, in read-only transactions."""

    def __init__(self, address: Address, engine: Engine) -> None:
        self._address, self._engine = address, engine

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement."""
        from sqlalchemy import text

        with told_plainly(self._address), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), dict(parameters or {}))]

    def query(self, sql: str) -> tuple[list[str], Rows]:
        """Columns and rows of a statement; PostgreSQL refuses one that writes."""
        from sqlalchemy.exc import DBAPIError

        with told_plainly(self._address), self._engine.connect() as connection:
            connection.detach()  # closed at the end, with all that the statement set
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                # Should the statement end that transaction: the next one can't write either.
                connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            try:
                result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
                if not result.returns_rows:
                    return [], []
                return list(result.keys()), [tuple(row) for row in result]
            except DBAPIError as error:
                raise _bad_statement(error.orig or error) from error
            finally:
                connection.rollback()

    def close(self) -> None:
        """Nothing to do: the engine belongs to the store."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can't change the file. Raises sqlite3.Error."""
    uri = f"file:{quote(str(path))}?mode=ro"
    connection = _connect(uri)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if has_log(path):
            raise
        # In a folder that we can't write, or on a full disk, no shared memory can be made; but all
        # that is committed is in the file itself, and nobody can add to it.
        connection = _connect(f"{uri}&immutable=1")
    return connection


def has_log(path: Path) -> bool:
    """Whether committed rows may stand in SQLite's write-ahead log; an empty one counts as none."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _only_reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in _HARMLESS_ACTIONS or (
        action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _HARMLESS_PRAGMAS
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _bad_statement(error: BaseException) -> UsageError:
    message = str(error).strip().splitlines()[0]
    return UsageError(f"the query failed: {message}; docs/store.md lists the tables and views")
