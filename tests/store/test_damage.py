"""A store with values that genbench never wrote: every command that reads it says so in words."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Integer, Table

from genbench.errors import StoreError
from genbench.store import Store
from genbench.store.damage import damage
from genbench.store.schema import metadata

VALUES = ("'junk'", "NULL")
COMMANDS = (("show", "@1"), ("compare", "--json"))


@pytest.fixture(scope="module")
def filled_once(make, tmp_path_factory) -> Path:
    """A store with two finished runs and something in every table."""
    path = tmp_path_factory.mktemp("filled") / "runs.db"
    with Store.open(path, mode="create") as store:
        for seed in (0, 1):
            run = make.create(store, make.spec(seed=seed), name=f"run {seed}", tags=["tagged"])
            make.fill(store, run)
            store.finish(run.id)
    return path


@pytest.fixture
def filled(filled_once, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(filled_once, tmp_path / "runs.db"))


def give_a_row(path: Path, table: Table) -> None:
    """A row of a table that the runs of the store leave empty; it only has to be there."""
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute(f'SELECT 1 FROM "{table.name}"').fetchone() is None:
            values = [1 if isinstance(c.type, Integer) else "{}" for c in table.columns]
            places = ", ".join("?" * len(values))
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute(f'INSERT INTO "{table.name}" VALUES ({places})', values)
            connection.commit()


def set_all(path: Path, table: str, column: str, value: str) -> bool:
    """Write a value into a column of all rows, whatever its constraints; False where none is."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = ?", [table]
        )
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        try:
            changed = connection.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = {value}')
        except sqlite3.Error:  # a key of an integer type, which SQLite itself guards
            return False
        connection.commit()
        return changed.rowcount > 0


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_no_value_in_any_column_ends_in_a_traceback(filled, genbench, tmp_path, table) -> None:
    tried = 0
    if table.name != "run_parents":
        give_a_row(filled, table)
    for column in table.columns:
        for value in VALUES:
            damaged = tmp_path / "damaged.db"
            shutil.copy(filled, damaged)
            if not set_all(damaged, table.name, column.name, value):
                continue
            for command in COMMANDS:
                code, _, err = genbench(*command, "--store", "damaged.db")
                told = f"{table.name}.{column.name} = {value}: {command}: {code} {err}"
                assert code in (0, 1, 2, 3, 5), told
                assert "unexpected" not in err, told
                assert "Traceback" not in err, told
                tried += 1
    assert tried or table.name in ("run_parents",)


def test_what_is_wrong_is_named_with_its_table_column_and_value(filled) -> None:
    assert damage(str(filled)) is None
    set_all(filled, "epochs", "train_s", "'junk'")
    error = damage(str(filled))
    assert isinstance(error, StoreError)
    assert "'train_s' of table 'epochs' is 'junk', where a number is expected" in str(error)


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("runs", "status", "'asleep'", "the status of a run"),
        ("runs", "created_at", "'yesterday'", "a UTC time, ISO 8601,"),
        ("runs", "spec", "'{}'", "the spec of a run"),
        ("environments", "body", "'[1]'", "a JSON object"),
        ("stages", "execution", """'{"train": {}}'""", "how the updates of each phase"),
        ("runs", "model", "x'00'", "a text"),
        ("runs", "seed", "NULL", "a whole number"),
        ("epochs", "run", "run + 1000", "one of runs"),
        ("epochs", "train_s", "9e999", "a finite number"),
        ("epochs", "stage_epoch", "9223372036854775807", "a number of 32 bits"),
    ],
)
def test_each_kind_of_wrong_value_is_found(filled, table, column, value, expected) -> None:
    assert set_all(filled, table, column, value)
    assert expected in str(damage(str(filled)))


@pytest.mark.parametrize("junk", ["'junk'", "''", "x'ff'"])
def test_a_version_that_is_none_is_damage(filled, genbench, junk) -> None:
    set_all(filled, "schema_version", "version_num", junk)
    for command in COMMANDS:
        code, _, err = genbench(*command)
        assert (code, len(err.splitlines())) == (5, 1)
        assert "damaged" in err


def test_words_of_sqlite_that_are_no_text_are_damage_too(filled, genbench) -> None:
    with Store.open(filled, mode="write"):
        pass  # closing folds the log into the file
    content = filled.read_bytes()
    assert b"CREATE TABLE runs" in content
    filled.write_bytes(content.replace(b"CREATE TABLE runs", b"CREAT\xff\xfe TABLE rn"))
    for command in COMMANDS:
        code, _, err = genbench(*command)
        assert (code, len(err.splitlines())) == (5, 1)
        assert "is damaged" in err
