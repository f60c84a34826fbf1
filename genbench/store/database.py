"""The writing connection to a database: an SQLAlchemy engine with one transaction at a time.

SQLite uses WAL, synchronous NORMAL, foreign keys and BEGIN IMMEDIATE. With plain BEGIN, a
transaction that reads first and writes later is refused if another process has written in between
[8 processes: 482 of 1,600 transactions lost with plain BEGIN, none with IMMEDIATE].
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry

from genbench.errors import StoreError
from genbench.store.address import Address
from genbench.store.failures import BUSY_TIMEOUT_S, Patience, as_usual, is_busy, store_errors
from genbench.store.version import APPLICATION_ID

POLL_S = 0.5
"""Seconds between two calls of a patience."""

IDLE_S = 1.0
"""Seconds without a use after which a connection to a server is tested before its next one."""


class Database:
    """The writer of a process: its transactions wait for each other, across all threads."""

    def __init__(self, address: Address, *, foreign_keys: bool = True) -> None:
        self.address = address
        self.engine = _engine(address, foreign_keys, self._begin)
        self._lock = threading.RLock()
        self._patience: Patience = as_usual

    @contextmanager
    def transaction(self, patience: Patience = as_usual) -> Iterator[Connection]:
        """A transaction that can write, committed at the end of the block.

        Raises LockedError, StoreError (read-only, damaged), DiskFullError, and the errors of
        ``patience``.
        """
        with store_errors(self.address), self._lock:
            self._patience = patience
            with self.engine.begin() as connection:
                yield connection

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A transaction of one statement: one round trip to a server, where others take three.

        Raises the errors of `transaction`.
        """
        if self.address.path is not None:
            with self.transaction() as connection:
                yield connection
            return
        with store_errors(self.address), self._lock, self._autocommit.connect() as connection:
            yield connection

    @cached_property
    def _autocommit(self) -> Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def copy_to(self, path: Path) -> None:
        """Copy the committed state of an SQLite file, as seen by this connection, to a new file."""
        with store_errors(self.address), self._lock, self.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            with closing(sqlite3.connect(path)) as copy:
                driver.backup(copy)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """BEGIN IMMEDIATE, with many short waits, since a wait of SQLite can't be interrupted."""
        began = time.monotonic()
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * POLL_S)}")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if not is_busy(error) or not self._patience(time.monotonic() - began):
                        raise
                else:
                    return
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_TIMEOUT_S)}")

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self.engine.dispose()


def lock_schema(connection: Connection) -> None:
    """Let other processes wait until this transaction has made or changed the tables."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")


def _engine(
    address: Address, foreign_keys: bool, begin: Callable[[sqlite3.Connection], None]
) -> Engine:
    if address.path is None:
        return _other_engine(address)
    engine = create_engine(
        make_url("sqlite://").set(database=str(address.path)),
        poolclass=StaticPool,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins and commits, not sqlite3
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        begin(driver)

    return engine


def _other_engine(address: Address) -> Engine:
    try:
        url = make_url(address.url)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
    except ModuleNotFoundError as error:
        is_known = (error.name or "").startswith("psycopg")
        fix = "pip install 'genbench[postgres]'" if is_known else "use PostgreSQL or an SQLite file"
        raise StoreError(f"the store {address} needs the package '{error.name}': {fix}") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(
            f"'{address}' is not an address of a store ({error}); give a file, or a URL such as "
            "postgresql://user@host/database"
        ) from error

    _test_idle_connections(engine)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def escape(
        connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        return statement, _without_nul(parameters)

    return engine


def _test_idle_connections(engine: Engine) -> None:
    """Replace connections that broke while nobody used them; SQLAlchemy then connects again.

    A connection that was just in use is not tested, because a test takes as long as a claim.
    """

    @event.listens_for(engine, "checkin")
    def on_checkin(driver: Any, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(driver: Any, record: ConnectionPoolEntry, proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", math.inf) < IDLE_S:
            return
        try:
            engine.dialect.do_ping(driver)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _without_nul(value: Any) -> Any:
    """The parameters of a statement with NUL, which PostgreSQL refuses in texts, as an escape."""
    if isinstance(value, str):
        return value.replace("\0", "\\x00")
    if isinstance(value, Mapping):
        return {key: _without_nul(item) for key, item in value.items()}
    return type(value)(map(_without_nul, value)) if isinstance(value, (list, tuple)) else value
