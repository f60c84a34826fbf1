"""Find invalid values in a store, to explain why a command failed.

SQLite accepts any value in any column, and anyone may edit the file. So a row may have text instead
of a number, an invalid time or invalid JSON. Reading commands trust their rows, since checking
10,000 runs at each ``compare`` would take longer than reading them. Only after an error, the whole
store is checked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from genbench.errors import StoreError
from genbench.events import Execution
from genbench.spec import RunSpec
from genbench.store.address import Address
from genbench.store.failures import store_errors
from genbench.store.reader import connect_read_only
from genbench.store.records import Status

_JSON = {"body", "spec", "execution", "sampler_settings", "diagnostics", "skipped"}
_MOMENT = "({0} NOT GLOB '????-??-??T??:??*' OR julianday({0}) IS NULL)"
_OBJECT = "(NOT json_valid({0}) OR json_type({0}) <> 'object')"
_NO_STATUS = "{0} NOT IN (%s)" % ", ".join(f"'{status.value}'" for status in Status)  # noqa: UP031


def damage(url: str) -> StoreError | None:
    """The error for the first invalid value of an SQLite store; None if all are valid."""
    try:
        address = Address.parse(url)
        if address.path is None:
            return None
        with store_errors(address), closing(connect_read_only(address.path)) as connection:
            connection.text_factory = _text
            found = next(_wrong(connection), None)
    except StoreError as error:
        return error
    if found is None:
        return None
    table, column, value, expected = found
    return StoreError(
        f"the store {address} is damaged: '{column}' of table '{table}' is {_shown(value)}, where "
        f"{expected} is expected; put a backup in its place, or correct it with sqlite3"
    )


def _wrong(connection: sqlite3.Connection) -> Iterator[tuple[str, str, Any, str]]:
    """Table, column, value and expected kind of an invalid value, one for each such column."""
    from sqlalchemy import Double, Integer

    from genbench.store.schema import metadata

    for table in metadata.sorted_tables:
        for column in table.columns:
            kinds, expected = _KINDS[column.type.python_type]
            tests = [(f"typeof({{0}}) NOT IN ({kinds})", expected)]
            if isinstance(column.type, Double):
                tests.append(("abs({0}) = 9e999", "a finite number"))
            elif type(column.type) is Integer:
                tests.append(("abs({0}) >= 2147483648", "a number of 32 bits"))
            if column.name.endswith("_at"):
                tests.append((_MOMENT, "a UTC time, ISO 8601,"))
            elif column.name in _JSON:
                tests.append((_OBJECT, "a JSON object"))
            elif (table.name, column.name) == ("runs", "status"):
                tests.append((_NO_STATUS, "the status of a run"))
            for test, wanted in tests:
                where = test.format(f'"{column.name}"')
                if column.nullable:
                    where = f'"{column.name}" IS NOT NULL AND {where}'
                for (value,) in connection.execute(
                    f'SELECT "{column.name}" FROM "{table.name}" WHERE {where} LIMIT 1'
                ):
                    yield table.name, column.name, value, wanted
    yield from _wrong_json(connection)
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield table, "a reference", f"to no row of {parent}", f"one of {parent}"


_KINDS = {
    int: ("'integer'", "a whole number"),
    float: ("'real', 'integer'", "a number"),
    str: ("'text'", "a text"),
}


def _wrong_json(connection: sqlite3.Connection) -> Iterator[tuple[str, str, Any, str]]:
    """JSON objects with other content than genbench writes."""
    checks: list[tuple[str, str, Callable[[str], Any], str]] = [
        ("runs", "spec", RunSpec.from_json, "the spec of a run"),
        ("draws", "diagnostics", _all_numbers, "an object of numbers"),
        ("draws", "skipped", _all_texts, "an object of strings"),
        ("stages", "execution", _all_executions, "how the updates of each phase were executed"),
    ]
    for table, column, check, expected in checks:
        for (text,) in connection.execute(f'SELECT "{column}" FROM "{table}"'):
            try:
                check(text)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                yield table, column, text, expected


def _all_numbers(text: str) -> None:
    for value in json.loads(text).values():
        if value is not None:
            float(value + 0)


def _all_texts(text: str) -> None:
    "".join(json.loads(text).values())


def _all_executions(text: str | None) -> None:
    for value in json.loads(text or "{}").values():
        Execution(**value)


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
