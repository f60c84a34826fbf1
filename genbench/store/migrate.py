"""Migrate an older store to the current schema: first a backup, then the scripts of alembic.

Only this file imports alembic [200 ms], and it is imported for older stores only.
"""

from __future__ import annotations

import filecmp
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from genbench import __version__
from genbench.errors import StoreError
from genbench.store import version
from genbench.store.address import Address
from genbench.store.database import Database, lock_schema
from genbench.store.failures import store_errors
from genbench.store.reader import connect_read_only
from genbench.store.rescue import backups, unused
from genbench.store.views import VIEWS, create_views

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(address: Address) -> Path | None:
    """Migrate the store to `version.SCHEMA_VERSION`; return the backup (SQLite) that was made.

    All steps are one transaction, so that a crash leaves the store unchanged. Raises StoreError.
    """
    # Foreign keys are off, since alembic rebuilds an SQLite table to change it, and they can't be
    # switched inside a transaction. They are checked at the end.
    database = Database(address, foreign_keys=False)
    try:
        with store_errors(address), database.transaction() as connection:
            lock_schema(connection)
            if _current(connection) >= version.SCHEMA_VERSION:
                return None  # another process was faster
            backup = _back_up(address.path, _current(connection)) if address.path else None
            upgrade(connection)
            _check(connection, address)
        return backup
    finally:
        database.close()


def upgrade(connection: Connection) -> None:
    """Run all scripts in the transaction of the connection, then make the current views."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import text

    # A table can't be rebuilt while a view reads it.
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    create_views(connection)
    wrote = text("UPDATE store_info SET value = :value WHERE key = 'genbench'")
    connection.execute(wrote, {"value": __version__})


def _current(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT version_num FROM schema_version").scalar_one())


def _back_up(path: Path, found: int) -> Path:
    """Copy the committed state to ``runs.db.backup-v1``; an earlier backup is never replaced.

    If an earlier backup is equal, as after a migration that failed, it is returned instead.
    """
    target = Path(f"{path}.backup-v{found}")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with (
            closing(connect_read_only(path)) as source,
            closing(sqlite3.connect(str(part))) as copy,
        ):
            source.backup(copy)
        for earlier in backups(path, found):
            if filecmp.cmp(part, earlier, shallow=False):
                return earlier
        return part.rename(unused(target))
    finally:
        part.unlink(missing_ok=True)


def _check(connection: Connection, address: Address) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise StoreError(
                f"the migration of {address} would break a reference of table {broken[0]}; the "
                "store is unchanged"
            )
