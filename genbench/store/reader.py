"""The reading side: connections that can't write, with plain SQL and named parameters.

An SQLite file is read through sqlite3 itself, for SQLAlchemy's import (130 ms) would be most of
what ``genbench runs`` and ``genbench compare`` may cost; any other database through SQLAlchemy.
All columns are integers, floats and text, so both give the same rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from genbench.errors import UsageError
from genbench.store.address import Address
from genbench.store.failures import BUSY_TIMEOUT_S, told_plainly
from genbench.store.rescue import log_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

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
_VIRTUAL_TABLES = ("json_each", "json_tree")
_HARMLESS_ACTIONS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


_LONGEST = 1 << 26
"""Bytes of one value or row of a person's statement, at most."""

_STEPS = 10_000
"""Steps of SQLite's machine between two looks at signals [about 1 ms]."""

Streamed = tuple[list[str], Iterator[tuple[Any, ...]]]
"""The columns of a statement, and its rows as they are found."""


class RowSource(Protocol):
    """What statements can be asked of: a reader, or a store."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement with ``:name`` parameters."""


class Reader(RowSource, Protocol):
    """Reads committed rows."""

    def stream(self, sql: str) -> AbstractContextManager[Streamed]:
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

    @contextmanager
    def stream(self, sql: str) -> Iterator[Streamed]:
        """Columns and rows of a statement that reads; nothing else is let through."""
        with closing(self._guarded()) as connection:
            with self._asked():
                cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description or ()]
            yield columns, self._found(cursor)

    def _guarded(self) -> sqlite3.Connection:
        """A connection for a person's statement: it only reads, and Ctrl-C ends it."""
        assert self._address.path is not None
        with told_plainly(self._address):
            connection = connect_read_only(self._address.path)
        for table in _VIRTUAL_TABLES:
            # SQLite declares such a table at its first use by a write to its schema in memory,
            # which must come before writes are refused.
            connection.execute(f"SELECT 1 FROM {table}('[]')")
        connection.set_authorizer(_only_reading)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.set_progress_handler(_look_at_signals, _STEPS)
        connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
        return connection

    def _found(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        with self._asked():
            yield from cursor

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn what SQLite says of a person's statement into a UsageError."""
        with told_plainly(self._address):
            try:
                yield
            except sqlite3.DatabaseError as error:
                name = getattr(error, "sqlite_errorname", "")
                if name == "SQLITE_INTERRUPT":
                    raise KeyboardInterrupt from None  # raised in the progress handler
                if name == "SQLITE_AUTH":
                    message = "genbench query only reads; give one SELECT statement"
                    raise UsageError(message) from error
                if isinstance(error, _MISTAKES):
                    raise _bad_statement(error) from error
                raise
            except sqlite3.Warning as error:
                raise _bad_statement(error) from error

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

    @contextmanager
    def stream(self, sql: str) -> Iterator[Streamed]:
        """Columns and rows of a statement; PostgreSQL refuses one that writes."""
        with told_plainly(self._address):
            connection = self._engine.connect()
        try:
            with self._asked():
                result = self._result(connection, sql)
            if result.returns_rows:
                yield list(result.keys()), self._found(result)
            else:
                yield [], iter(())
        finally:
            connection.rollback()
            connection.close()

    def _result(self, connection: Connection, sql: str) -> CursorResult[Any]:
        connection.detach()  # closed at the end, with all that the statement set
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            # Should the statement end that transaction: the next one can't write either.
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        options = {"no_parameters": True, "stream_results": True}
        return connection.execution_options(**options).exec_driver_sql(sql)

    def _found(self, result: CursorResult[Any]) -> Iterator[tuple[Any, ...]]:
        with self._asked():
            for row in result:
                yield tuple(row)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError

        with told_plainly(self._address):
            try:
                yield
            except DBAPIError as error:
                raise _bad_statement(error.orig or error) from error

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
    """Whether SQLite's write-ahead log may hold committed rows; an empty one counts as none."""
    log = log_of(path)
    return log.exists() and log.stat().st_size > 0


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _look_at_signals() -> int:
    """Go on. Python runs the handlers of signals between its own instructions: here it has some."""
    return 0


_MISTAKES = (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.DataError)


def _only_reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() == "load_extension":
        return sqlite3.SQLITE_DENY
    if action in _HARMLESS_ACTIONS or (
        action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _HARMLESS_PRAGMAS
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _bad_statement(error: BaseException) -> UsageError:
    message = str(error).strip().splitlines()[0]
    return UsageError(f"the query failed: {message}; docs/store.md lists the tables and views")
