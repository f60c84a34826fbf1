"""Stores of both kinds for tests: SQLite, and a database of its own on a real PostgreSQL server.

GENBENCH_TEST_POSTGRES names a server to use, as a role that may make databases; without it, the
tests start one where PostgreSQL is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from postgres_server import shared_server, why_not

from genbench.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine

GIVEN = os.environ.get("GENBENCH_TEST_POSTGRES", "")
NO_POSTGRES = pytest.mark.skipif(not GIVEN and bool(why_not()), reason=why_not() or "-")
STORES = ("sqlite", pytest.param("postgresql", marks=NO_POSTGRES))
"""The kinds of stores, as parameters of a fixture."""
SQLITE_ONLY = ("sqlite",)
"""The parameters for tests of what only a file can suffer."""

_EMPTIED: list[str] = []
"""Databases with empty tables, which tests have used before."""


@contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store, which is removed at the end."""
    if kind == "sqlite":
        yield str(folder / "runs.db")
        return
    with _database("template0") as name:
        yield _url(name)


@contextmanager
def opened_store(kind: str, folder: Path) -> Iterator[Store]:
    """An empty store with its tables, for tests that leave the tables as they are."""
    if kind == "sqlite":
        with Store.open(folder / "runs.db", mode="create") as opened:
            yield opened
        return
    name = _EMPTIED.pop() if _EMPTIED else _create(_template())
    try:
        with Store.open(_url(name)) as opened:
            yield opened
            _empty(opened)
    except BaseException:
        _drop(name)
        raise
    _EMPTIED.append(name)


def _empty(store: Store) -> None:
    """Delete all rows, and number new ones from 1 again."""
    from genbench.store.copying import TABLES

    rows = "; ".join(f"DELETE FROM {table.name}" for table in reversed(TABLES))
    numbers = "SELECT setval(c.oid, 1, false) FROM pg_class c WHERE c.relkind = 'S'"
    with store.transaction() as connection:
        connection.exec_driver_sql(rows)
        connection.exec_driver_sql(numbers)


@contextmanager
def _database(template: str) -> Iterator[str]:
    name = _create(template)
    try:
        yield name
    finally:
        _drop(name)


def _create(template: str) -> str:
    name = f"genbench_{uuid4().hex[:8]}"
    _administer(f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


def _drop(name: str) -> None:
    with suppress(Exception):  # a test may have stopped the server
        _administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@cache
def _template() -> str:
    """A database with the empty tables of a store."""
    name = _create("template0")
    Store.open(_url(name), mode="create").close()
    return name


def _url(name: str) -> str:
    if not GIVEN:
        return shared_server().url(name)
    from sqlalchemy import make_url

    return make_url(GIVEN).set(database=name).render_as_string(hide_password=False)


def _administer(statement: str) -> None:
    with _engine().connect() as connection:
        connection.exec_driver_sql(statement)


@cache
def _engine() -> Engine:
    from sqlalchemy import create_engine, make_url

    url: Any = make_url(GIVEN or shared_server().url("postgres"))
    return create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
