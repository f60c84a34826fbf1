"""A run's rows as plain values that mean the same in any store, and back into rows.

Inside a store runs, series, machines and draws are small integers, which another store has given
to something else. Here they are named by what they are: a series by kind and name, a machine by its
description, a draw by its place among the draws of its run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DefaultClause, Double, Integer, Table, insert, select
from sqlalchemy.engine import Connection

from genbench.errors import DataError
from genbench.spec import RunSpec, canonical_json, content_hash
from genbench.store import lifecycle
from genbench.store.records import Status
from genbench.store.schema import (
    draws,
    environments,
    evals,
    experiments,
    metadata,
    metric_keys,
    protocols,
    run_environments,
    runs,
)
from genbench.store.upsert import insert_missing

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Table -> rows, each column by its name."""

OWNED = tuple(t for t in metadata.sorted_tables if "run" in t.c and t is not runs)
"""The tables that hold rows of a run, after those that they refer to."""
_PLACE = ("pid", "process_start", "heartbeat_at", "host")
"""Columns of the process that works on a run: an imported run has none."""
_PERSONAL = ("name", "note", "archived_at")
"""Columns that a person may change: they don't tell two runs apart."""
_JSON = ("body", "spec", "sampler_settings", "diagnostics", "skipped", "execution")
ENDED = (
    Status.FINISHED.value,
    Status.FAILED.value,
    Status.INTERRUPTED.value,
    Status.PRUNED.value,
)


def read_rows(connection: Connection, number: int) -> dict[str, list[dict[str, Any]]]:
    """All rows of a run and what they refer to."""
    keys = {r.key: [r.kind, r.name] for r in connection.execute(select(metric_keys))}
    machines = {r.environment: r.digest for r in connection.execute(select(environments))}
    [head] = connection.execute(select(runs).where(runs.c.run == number)).mappings()
    found: dict[str, list[dict[str, Any]]] = {"runs": [_portable(dict(head), keys, machines, {})]}
    found["runs"][0] |= dict.fromkeys(_PLACE)
    places: dict[int, int] = {}
    for table in OWNED:
        order = list(table.primary_key.columns)
        rows = connection.execute(select(table).where(table.c.run == number).order_by(*order))
        mapped = [row._mapping for row in rows]
        if table is draws:
            places = {row["draw"]: place for place, row in enumerate(mapped)}
        found[table.name] = [_portable(dict(row), keys, machines, places) for row in mapped]
    return found | _referred_to(connection, found)


def _portable(
    row: Mapping[str, Any],
    keys: Mapping[int, list[str]],
    machines: Mapping[int, str],
    places: Mapping[int, int],
) -> dict[str, Any]:
    values = {k: v for k, v in row.items() if k not in ("run", "eval", "artifact")}
    if isinstance(values.get("key"), int):
        values["key"] = keys[values["key"]]
    if "environment" in values:
        values["environment"] = machines.get(values["environment"])
    if "draw" in values:
        values["draw"] = places[values["draw"]]
    return values


def _referred_to(connection: Connection, found: Rows) -> dict[str, list[dict[str, Any]]]:
    named = {tuple(row["key"]) for rows in found.values() for row in rows if _is_key(row)}
    used = {row["environment"] for name in ("runs", "run_environments") for row in found[name]}
    hashes = {row["protocol_hash"] for row in found["evals"]}

    def rows(table: Table, column: str, wanted: set[Any]) -> list[dict[str, Any]]:
        statement = select(table).where(table.c[column].in_(wanted)).order_by(table.c[column])
        return [dict(row) for row in connection.execute(statement).mappings()]

    series = connection.execute(select(metric_keys).order_by("kind", "name")).mappings()
    return {
        "metric_keys": [
            _without(dict(r), "key") for r in series if (r["kind"], r["name"]) in named
        ],
        "environments": [
            _without(row, "environment") for row in rows(environments, "digest", used)
        ],
        "protocols": rows(protocols, "protocol_hash", hashes),
        "experiments": rows(experiments, "experiment", {found["runs"][0]["experiment"]}),
    }


def _without(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != column}


def _is_key(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("key"), list)


def content(rows: Rows, files: Mapping[str, str]) -> str:
    """The hash of all that a run is, whatever store it lies in; ``files`` are digests by path.

    What a person may change of it, and when its experiment was first run, are not in it.
    """
    kept: dict[str, Any] = {name: list(found) for name, found in rows.items()}
    for name in ("run_tags", "experiments", "metric_keys"):
        kept.pop(name, None)
    unset = dict.fromkeys((*_PLACE, *_PERSONAL))
    kept["runs"] = [{**row, **unset} for row in kept["runs"]]
    ordered = {name: sorted(map(canonical_json, found)) for name, found in kept.items()}
    return content_hash({"rows": ordered, "files": dict(files)})


# --- back into a store ----------------------------------------------------------------------------


def insert_rows(connection: Connection, rows: Rows, *, name: str | None) -> int:
    """Insert a run that `check_rows` has accepted, under ``name``; return its number."""
    for table in (experiments, protocols):
        insert_missing(connection, table, list(rows[table.name]))
    machines = {
        row["digest"]: lifecycle.environment_number(connection, json.loads(row["body"]))
        for row in rows["environments"]
    }
    series = list(rows["metric_keys"])
    insert_missing(connection, metric_keys, series)
    keys = {(r.kind, r.name): r.key for r in connection.execute(select(metric_keys))}
    [head] = rows["runs"]
    row = {**head, "name": name, "environment": machines.get(head["environment"])}
    number = connection.execute(insert(runs).values(row).returning(runs.c.run)).scalar_one()
    places: dict[int, int] = {}
    for table in OWNED:
        own = [{**row, "run": number} for row in rows[table.name]]
        for values in own:
            if "key" in values and isinstance(values["key"], list):
                values["key"] = keys[tuple(values["key"])]
            if table is run_environments:
                values["environment"] = machines[values["environment"]]
            if table is evals:
                values["draw"] = places[values["draw"]]
        if table is draws:
            for values in own:
                place = values.pop("draw")
                made = insert(draws).values(values).returning(draws.c.draw)
                places[place] = connection.execute(made).scalar_one()
        elif own:
            connection.execute(insert(table), own)
    return int(number)


def check_rows(rows: Any, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Rows that somebody else has written, with defaults for the columns that an older genbench
    didn't have. Raises DataError for anything that a store of ours would not hold.
    """
    wanted = {t.name: t for t in (runs, experiments, environments, protocols, metric_keys, *OWNED)}
    if not isinstance(rows, dict) or not {"runs"} <= set(rows) <= set(wanted):
        raise DataError("its tables are not those of a genbench store")
    checked: dict[str, list[dict[str, Any]]] = {}
    for name, table in wanted.items():
        found = rows.get(name, [])
        if not isinstance(found, list):
            raise DataError(f"table '{name}' is not a list of rows")
        checked[name] = [_checked(row, table) for row in found]
    _check_head(checked["runs"], run_id)
    _check_references(checked)
    return checked


def _checked(row: Any, table: Table) -> dict[str, Any]:
    hidden = {"run", "eval", "artifact"}
    hidden |= {"key"} if table is metric_keys else set()
    hidden |= {"environment"} if table is environments else set()
    columns = {c.name: c for c in table.columns if c.name not in hidden}
    if not isinstance(row, dict) or not set(row) <= set(columns):
        raise DataError(f"a row of table '{table.name}' has unknown columns; update genbench")
    return {name: _value(row, column, table.name) for name, column in columns.items()}


def _value(row: Mapping[str, Any], column: Column[Any], table: str) -> Any:
    name, value = column.name, row.get(column.name)
    if name not in row and isinstance(column.server_default, DefaultClause):
        text = str(column.server_default.arg).strip("'")
        value = text if column.type.python_type is str else int(text)
    if (table, name) in _NAMED:
        right = _NAMED[table, name](value)
    elif value is None:
        right = bool(column.nullable)
    else:
        right = _fits(value, column) and _well_formed(value, name)
    if not right:
        raise DataError(f"'{name}' of table '{table}' has the invalid value {str(value)[:40]!r}")
    return value


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)


_NAMED: Mapping[tuple[str, str], Any] = {
    **{(t.name, "key"): _is_series for t in OWNED if "key" in t.c and t.name != "run_params"},
    **{(t, "draw"): lambda v: type(v) is int for t in ("draws", "evals")},
    ("runs", "environment"): lambda v: v is None or isinstance(v, str),
    ("run_environments", "environment"): lambda v: isinstance(v, str),
}
"""Columns that are named by what they mean, with the check for that."""


def _fits(value: Any, column: Column[Any]) -> bool:
    if isinstance(column.type, Double):
        return type(value) in (int, float) and math.isfinite(value)
    if column.type.python_type is int:
        bits = 31 if type(column.type) is Integer else 63
        return type(value) is int and -(2**bits) <= value < 2**bits
    return isinstance(value, str) and not any(0xD800 <= ord(c) < 0xE000 for c in value)


def _well_formed(value: Any, column: str) -> bool:
    try:
        if column.endswith("_at"):
            datetime.fromisoformat(value)
        elif column in _JSON:
            return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False
    return True


def _check_head(heads: Sequence[Mapping[str, Any]], run_id: str) -> None:
    if len(heads) != 1 or heads[0]["id"] != run_id or heads[0]["status"] not in ENDED:
        raise DataError(f"it must contain only run {run_id}, and that run must have ended")
    head = heads[0]
    try:
        spec = RunSpec.from_json(head["spec"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"the spec of run {run_id} can't be read: {error}") from None
    if (spec.model, spec.dataset, spec.seed) != (head["model"], head["dataset"], head["seed"]):
        raise DataError(f"the spec of run {run_id} belongs to another run")


def _check_references(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    known = {(row["kind"], row["name"]) for row in rows["metric_keys"]}
    machines = {row["digest"] for row in rows["environments"]} | {None}
    hashes = {row["protocol_hash"] for row in rows["protocols"]}
    places = {row["draw"] for row in rows["draws"]}
    used = {tuple(row["key"]) for found in rows.values() for row in found if _is_key(row)}
    right = (
        used <= known
        and {row["draw"] for row in rows["evals"]} <= places
        and {row["protocol_hash"] for row in rows["evals"]} <= hashes
        and {r["environment"] for r in (*rows["runs"], *rows["run_environments"])} <= machines
        and len(places) == len(rows["draws"])
        and rows["runs"][0]["experiment"] in {row["experiment"] for row in rows["experiments"]}
        and all(
            content_hash(json.loads(r["body"])) == r["protocol_hash"] for r in rows["protocols"]
        )
    )
    if not right:
        raise DataError("its rows refer to rows that are missing")
