"""INSERT ... ON CONFLICT for SQLite and PostgreSQL, which SQLAlchemy has per dialect only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

Values = Mapping[str, Any]


def insert_missing(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert the rows that don't exist yet."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def insert_or_replace(
    connection: Connection, table: Table, rows: Sequence[Values], *, key: Sequence[str]
) -> None:
    """Insert the rows, or update existing ones with the same ``key`` columns."""
    if rows:
        changed = [name for name in rows[0] if name not in key]
        insert_or_update(
            connection,
            table,
            rows,
            key=key,
            update=lambda new: {name: new[name] for name in changed},
        )


def insert_or_update(
    connection: Connection,
    table: Table,
    rows: Sequence[Values],
    *,
    key: Sequence[str],
    update: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Insert or update the rows; ``update(new)`` maps columns to expressions of the new row."""
    if rows:
        statement = _insert(connection, table)
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_=dict(update(statement.excluded))
        )
        connection.execute(statement, list(rows))


def _insert(connection: Connection, table: Table) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
