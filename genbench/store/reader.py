"""Read-only connections, for plain SQL with named parameters.

An SQLite file is read with sqlite3 itself, since the import of SQLAlchemy [130 ms] would be most of
the time that ``genbench runs`` and ``genbench compare`` may take. Other databases are read with
SQLAlchemy. All columns are integers, floats and text, so both return the same rows.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

from genbench.errors import UsageError
from genbench.store.address import Address
from genbench.store.failures import BUSY_TIMEOUT_S, store_errors
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
"""The maximum bytes of a value or a row in a user's statement."""

_STEPS = 10_000
"""Steps of SQLite's virtual machine between two checks for signals [about 1 ms]."""


class Condition(NamedTuple):
    """An SQL condition on the table ``runs r``, and its parameters."""

    sql: str
    parameters: dict[str, Any]


Streamed = tuple[list[str], Iterator[tuple[Any, ...]]]
"""The columns of a statement, and an iterator over its rows."""


class RowSource(Protocol):
    """Anything that runs statements: a reader, or a store."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement with ``:name`` parameters."""


class Reader(RowSource, Protocol):
    """Reads committed rows."""

    def stream(self, sql: str, where: Condition | None) -> AbstractContextManager[Streamed]:
        """Columns and rows of a user's statement; UsageError if it fails or would write.

        The statement sees only the runs that meet a condition (None: all of them).
        """

    def close(self) -> None:
        """Close the connection."""


class SqliteReader:
    """Reads an SQLite file through one read-only connection."""

    def __init__(self, address: Address) -> None:
        assert address.path is not None
        self._address = address
        self._lock = threading.Lock()
        with store_errors(address):
            self._connection = connect_read_only(address.path)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement."""
        with self._lock, store_errors(self._address):
            return self._connection.execute(sql, parameters or {}).fetchall()

    @contextmanager
    def stream(self, sql: str, where: Condition | None) -> Iterator[Streamed]:
        """Columns and rows of a statement that only reads."""
        with closing(self._guarded(where)) as connection:
            with self._user_errors():
                cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description or ()]
            yield columns, self._found(cursor)

    def _guarded(self, where: Condition | None) -> sqlite3.Connection:
        """A connection for a user's statement, which can only read and is ended by Ctrl-C."""
        assert self._address.path is not None
        with store_errors(self._address):
            connection = connect_read_only(self._address.path)
        for table in _VIRTUAL_TABLES:
            # The first use of such a table is a write to SQLite's schema in memory, so it must
            # come before writes are refused.
            connection.execute(f"SELECT 1 FROM {table}('[]')")
        if where is not None:
            with store_errors(self._address):
                _restrict(connection, where)
        connection.set_authorizer(_only_reading)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        # Python runs the handlers of signals between its own instructions only, so it needs some.
        connection.set_progress_handler(lambda: 0, _STEPS)
        connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
        return connection

    def _found(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        with self._user_errors():
            for row in cursor:  # noqa: UP028 (`yield from` closes the cursor after the connection)
                yield row

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        """Raise SQLite's errors in a user's statement as UsageErrors."""
        with store_errors(self._address):
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
    """Reads any other database with SQLAlchemy, in read-only transactions."""

    def __init__(self, address: Address, engine: Engine) -> None:
        self._address, self._engine = address, engine

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of a statement."""
        from sqlalchemy import text

        with store_errors(self._address), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), dict(parameters or {}))]

    @contextmanager
    def stream(self, sql: str, where: Condition | None) -> Iterator[Streamed]:
        """Columns and rows of a statement; PostgreSQL refuses a statement that writes."""
        with store_errors(self._address):
            connection = self._engine.connect()
        try:
            with self._user_errors():
                result = self._result(connection, sql, where)
            if result.returns_rows:
                yield list(result.keys()), self._found(result)
            else:
                yield [], iter(())
        finally:
            connection.rollback()
            connection.close()

    def _result(
        self, connection: Connection, sql: str, where: Condition | None
    ) -> CursorResult[Any]:
        connection.detach()  # it is closed at the end, so settings of the statement don't persist
        if where is not None:
            self._restrict(connection, where)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            # If the statement ends that transaction, the next one can't write either.
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        options = {"no_parameters": True, "stream_results": True}
        return connection.execution_options(**options).exec_driver_sql(sql)

    def _restrict(self, connection: Connection, where: Condition) -> None:
        from sqlalchemy import text

        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
        columns = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = :schema"
            ),
            {"schema": schema},
        )
        for statement in restricted(schema, [(str(t), str(c)) for t, c in columns], where):
            parameters = where.parameters if statement.startswith("INSERT") else {}
            connection.execute(text(statement), parameters)
        connection.commit()

    def _found(self, result: CursorResult[Any]) -> Iterator[tuple[Any, ...]]:
        with self._user_errors():
            for row in result:
                yield tuple(row)

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError

        with store_errors(self._address):
            try:
                yield
            except DBAPIError as error:
                raise _bad_statement(error.orig or error) from error

    def close(self) -> None:
        """Nothing to do: the engine belongs to the store."""


def restricted(schema: str, columns: Iterable[tuple[str, str]], where: Condition) -> Iterator[str]:
    """Statements that put temporary views before tables and views: with the selected runs alone.

    ``columns`` are pairs of a table or view and a column. The condition's parameters belong to the
    one statement that inserts.
    """
    yield "CREATE TEMP TABLE selected_runs (run INTEGER PRIMARY KEY, id TEXT)"
    yield (f'INSERT INTO selected_runs SELECT r.run, r.id FROM "{schema}".runs r WHERE {where.sql}')
    having = set(columns)
    for name in sorted({name for name, _ in having}):
        key = next((key for key in ("run", "id") if (name, key) in having), None)
        if key:
            yield (
                f'CREATE TEMP VIEW "{name}" AS SELECT * FROM "{schema}"."{name}" '
                f"WHERE {key} IN (SELECT {key} FROM selected_runs)"
            )


def _restrict(connection: sqlite3.Connection, where: Condition) -> None:
    connection.execute("PRAGMA query_only = OFF")  # the file itself is open for reading only
    connection.execute("PRAGMA temp_store = MEMORY")
    columns = connection.execute(
        "SELECT m.name, c.name FROM main.sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    ).fetchall()
    for statement in restricted("main", columns, where):
        parameters = where.parameters if statement.startswith("INSERT") else {}
        connection.execute(statement, parameters)
    connection.execute("PRAGMA query_only = ON")


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
        # In a read-only folder or on a full disk, SQLite can't make its shared memory. But without
        # a log, everything that is committed is in the file itself.
        connection = _connect(f"{uri}&immutable=1")
    return connection


def has_log(path: Path) -> bool:
    """Whether SQLite's write-ahead log may have committed rows; an empty log has none."""
    log = log_of(path)
    return log.exists() and log.stat().st_size > 0


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


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
