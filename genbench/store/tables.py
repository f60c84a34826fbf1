"""The store for other tools: its tables and views as CSV or Parquet, explained for datasette."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import StoreError, UsageError
from genbench.files.writing import replacing
from genbench.formatting import spreadsheet
from genbench.store.about import COLUMNS, QUERIES, TABLES
from genbench.store.schema import metadata
from genbench.store.views import VIEWS

if TYPE_CHECKING:
    from genbench.store.store import Store

NAMES = (*VIEWS, *(t for t in metadata.tables if t not in ("schema_version", "store_info")))
"""What is exported: all views and tables, without those that describe the store itself."""
ROWS = 50_000
"""Rows that are held at once."""


def write_csv(store: Store, folder: Path, ids: Sequence[str]) -> list[Path]:
    """Each table as ``NAME.csv``, of these runs only if there are any; NULL is an empty cell.

    A text that a spreadsheet would evaluate gets a quote in front. Raises OSError.
    """
    written = []
    for name in NAMES:
        path = folder / f"{name}.csv"
        with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            with store.stream(_select(name, ids)) as (columns, rows):
                writer.writerow(columns)
                writer.writerows([_cell(value) for value in row] for row in rows)
        written.append(path)
    return written


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return spreadsheet(value)
    return repr(value) if isinstance(value, float) else value


def write_parquet(store: Store, folder: Path, ids: Sequence[str]) -> list[Path]:
    """The same as ``NAME.parquet``.

    Raises UsageError without pyarrow, and StoreError for a value that is not of its column's type.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise UsageError(
            "--parquet needs the package 'pyarrow'", hint="pip install 'genbench[parquet]'"
        ) from error
    written = []
    for name in NAMES:
        path = folder / f"{name}.parquet"
        with store.stream(_select(name, ids)) as (columns, rows), replacing(path) as part:
            schema = pa.schema([(c, _type(store, name, c, pa)) for c in columns])
            with pq.ParquetWriter(part, schema) as writer:
                for batch in _batches(rows):
                    values = dict(zip(columns, zip(*batch, strict=True), strict=True))
                    try:
                        writer.write_table(pa.table(values, schema=schema))
                    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                        raise StoreError(
                            f"table '{name}' of the store can't be written as Parquet: {error}"
                        ) from error
        written.append(path)
    return written


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(rows, ROWS)):
        yield batch


def _type(store: Store, name: str, column: str, pa: Any) -> Any:
    """The type of a column: declared for a table, that of its values for a view."""
    if name in metadata.tables:
        kind = metadata.tables[name].columns[column].type.python_type
    else:
        typeof = "typeof" if _is_sqlite(store) else "pg_typeof"
        rows = store.rows(
            f'SELECT DISTINCT CAST({typeof}("{column}") AS text) FROM {name} '
            f'WHERE "{column}" IS NOT NULL'
        )
        kinds = {_KINDS.get(found, float) for (found,) in rows}
        kind = (kinds or {str}).pop() if len(kinds) < 2 else float
    return {int: pa.int64(), float: pa.float64(), str: pa.string()}[kind]


_KINDS: dict[str, type] = {"integer": int, "bigint": int, "text": str, "character varying": str}
"""The types of values as SQLite and PostgreSQL call them; others are floats."""


def _is_sqlite(store: Store) -> bool:
    return "://" not in store.url  # the path of a file, else a URL


def _select(name: str, ids: Sequence[str]) -> str:
    """The rows of a table or view, of some runs only or of all."""
    if not ids:
        return f"SELECT * FROM {name}"
    wanted = ", ".join(f"'{run_id}'" for run_id in ids)  # hexadecimal digits
    if name in VIEWS or name == "runs":
        return f"SELECT * FROM {name} WHERE id IN ({wanted})"
    numbers = f"SELECT run FROM runs WHERE id IN ({wanted})"
    if "run" in metadata.tables[name].columns:
        return f"SELECT * FROM {name} WHERE run IN ({numbers})"
    return f"SELECT * FROM {name} WHERE {_USED[name].format(numbers=numbers)}"


_USED = {
    "benches": "experiment IN (SELECT experiment FROM runs WHERE run IN ({numbers}))",
    "experiments": "experiment IN (SELECT experiment FROM runs WHERE run IN ({numbers}))",
    "environments": "environment IN (SELECT environment FROM run_environments "
    "WHERE run IN ({numbers}))",
    "protocols": "protocol_hash IN (SELECT protocol_hash FROM evals WHERE run IN ({numbers}))",
    "metric_keys": "key IN (SELECT key FROM metric_summary WHERE run IN ({numbers}) "
    "UNION SELECT key FROM evals WHERE run IN ({numbers}))",
    **dict.fromkeys(
        ("tasks", "task_parents", "task_runs"),
        "task IN (SELECT t.task FROM task_runs t JOIN runs r ON r.id = t.run_id "
        "WHERE r.run IN ({numbers}))",
    ),
    **dict.fromkeys(
        ("tunings", "proposals"),
        "tuning IN (SELECT p.tuning FROM proposals p JOIN runs r ON r.id = p.run_id "
        "WHERE r.run IN ({numbers}))",
    ),
}
"""Tables that runs share: the rows that some runs use."""


def datasette_metadata(store: Store) -> str:
    """The JSON file for ``datasette runs.db --metadata FILE``: descriptions and saved queries.

    Raises UsageError for a store that datasette can't read.
    """
    if not _is_sqlite(store):
        raise UsageError(
            f"datasette reads SQLite files, and the store {store.url} is on a server",
            hint="To get the tables as files: genbench export --csv DIR",
        )
    name = Path(store.url).stem
    tables = {
        table: {
            "description": about,
            "columns": {c: COLUMNS[c] for c in _columns(store, table) if c in COLUMNS},
            **({"sort_desc": "created_at"} if table in ("runs", "v_runs", "v_scores") else {}),
        }
        for table, about in TABLES.items()
    }
    queries = {slug: {"title": title, "sql": sql.strip()} for slug, (title, sql) in QUERIES.items()}
    described = {
        "title": "genbench",
        "description": "Runs of generative models with their settings, results and scores. "
        "Start with the views; their names begin with v_.",
        "databases": {name: {"tables": tables, "queries": queries}},
    }
    return json.dumps(described, indent=2) + "\n"


def _columns(store: Store, table: str) -> list[str]:
    return [row[0] for row in store.rows(f"SELECT name FROM pragma_table_info('{table}')")]
