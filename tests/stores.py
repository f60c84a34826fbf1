"""Stores of both kinds for tests: SQLite, and PostgreSQL in a schema of its own.

GENBENCH_TEST_POSTGRES names a database that may be used, as a role that may make schemas.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from genbench.store import Store

POSTGRES = os.environ.get("GENBENCH_TEST_POSTGRES", "")
NO_POSTGRES = pytest.mark.skipif(
    not POSTGRES, reason="set GENBENCH_TEST_POSTGRES to the URL of a PostgreSQL database"
)
STORES = ("sqlite", pytest.param("postgresql", marks=NO_POSTGRES))
"""The kinds of stores, as parameters of a fixture."""


@contextmanager
def address_of(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store, which is removed at the end."""
    if kind == "sqlite":
        yield str(folder / "runs.db")
        return
    from sqlalchemy import create_engine, make_url

    schema = f"genbench_{uuid4().hex[:8]}"
    url = make_url(POSTGRES).set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@contextmanager
def opened_store(kind: str, folder: Path) -> Iterator[Store]:
    """An empty store, which is removed at the end."""
    with address_of(kind, folder) as url, Store.open(url, mode="create") as opened:
        yield opened
