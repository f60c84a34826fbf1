"""What may stand at a store's address, and the one sentence for all that may not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from stores import SQLITE_ONLY

from genbench.errors import StoreError, UsageError
from genbench.store import Store
from genbench.store.version import APPLICATION_ID

KINDS = SQLITE_ONLY


def foreign_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def newer_store(path):
    Store.open(path, mode="create").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version_num = '0099'")
        connection.execute("UPDATE store_info SET value = '7.8.9'")
    connection.close()


def damaged_store(path):
    Store.open(path, mode="create").close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))


BAD = {
    "text": (lambda p: p.write_text("hello"), "is not a database"),
    "long text": (lambda p: p.write_text("hello " * 9000), "is not a database"),
    "empty file": (lambda p: p.touch(), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "another database": (foreign_database, "not a genbench store"),
    "newer": (newer_store, r"schema 99, written by genbench 7\.8\.9.*genbench>=7\.8\.9"),
    "damaged": (damaged_store, "is damaged"),
    "absent": (lambda p: None, "no store at .*. To make one: genbench run MODEL DATASET"),
    "absent folder": (lambda p: None, "no store at"),
}


MADE_ANEW = [("empty file", "create"), ("absent", "create")]
REFUSED = [(c, m) for c in BAD for m in ("read", "write", "create") if (c, m) not in MADE_ANEW]


@pytest.mark.parametrize(("case", "mode"), REFUSED)
def test_what_is_no_store_is_refused_in_one_sentence(tmp_path, case, mode):
    spoil, sentence = BAD[case]
    path = tmp_path / ("no/runs.db" if case == "absent folder" else "runs.db")
    if mode == "create" and case == "absent folder":
        sentence = "the folder .* of the store doesn't exist. To make it: mkdir -p"
    spoil(path)
    with pytest.raises(StoreError, match=sentence) as caught:
        Store.open(path, mode=mode).runs()
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


def test_create_makes_a_store_in_a_new_or_an_empty_file(tmp_path):
    (tmp_path / "empty.db").touch()
    for name in ("empty.db", "new.db", "with space?.db"):
        with Store.open(tmp_path / name, mode="create") as store:
            assert store.runs() == []
            assert store.runs_folder == tmp_path / "runs"


def test_create_opens_what_is_there(store, create):
    run = create()
    with Store.open(store.url, mode="create") as again:
        assert [r.id for r in again.runs()] == [run.id]


@pytest.mark.parametrize("given", ["runs.db", "./runs.db", "sqlite:///runs.db", "{}/runs.db"])
def test_a_path_and_an_sqlite_url_name_the_same_store(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with Store.open(given.format(tmp_path), mode="create") as store:
        assert store.url == str(tmp_path / "runs.db")
    assert Store.open(f"sqlite:///{tmp_path}/runs.db", mode="read").runs() == []


@pytest.mark.parametrize("given", ["", ":memory:", "sqlite://"])
def test_a_store_must_have_a_file(given):
    with pytest.raises(StoreError, match="can't be a store"):
        Store.open(given, mode="create")


@pytest.mark.parametrize("given", ["nonsense://here", "://x"])
def test_an_address_of_no_database_is_refused(given):
    with pytest.raises(StoreError, match="is not an address of a store"):
        Store.open(given, mode="create")


def test_a_new_store_is_in_wal_mode_and_waits_for_locks(store):
    with store.transaction() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        pragma["application_id"] = connection.exec_driver_sql("PRAGMA application_id").scalar()
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "application_id": APPLICATION_ID,
    }


def test_a_writer_holds_the_lock_from_its_beginning(store):
    other = sqlite3.connect(store.url, timeout=0, isolation_level=None)
    with store.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_lock_that_is_never_given_back_is_a_store_error(store, create, monkeypatch):
    monkeypatch.setattr("genbench.store.failures.BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr("genbench.store.database.BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(store.url, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.close()
    with pytest.raises(StoreError, match="been locked by another process"):
        create()
    other.close()


def test_reading_goes_on_while_another_process_writes(store, create):
    create()
    other = sqlite3.connect(store.url, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM runs")
    assert len(store.runs()) == 1
    other.close()


OPEN = """
import os, sys
from genbench.errors import StoreError
from genbench.store import Store
if os.geteuid() == 0:
    os.setuid(65534)  # file permissions don't bind root
mode, path = sys.argv[1:]
try:
    with Store.open(path, mode=mode) as store:
        print(len(store.runs()), "runs")
except StoreError as error:
    print(error)
"""


def open_without_privileges(mode, path):
    command = [sys.executable, "-c", OPEN, mode, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("closed", [True, False])
def test_a_read_only_store_can_be_read_and_refuses_a_writer(make, closed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        store = Store.open(path, mode="create")
        store.create_run(make.spec(), stages=make.stages, environment={})
        if closed:
            store.close()
        for file in Path(folder).glob("runs.db*"):
            file.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            read = open_without_privileges("read", path)
            written = open_without_privileges("write", path)
            made = open_without_privileges("create", path.with_name("new.db"))
        finally:
            Path(folder).chmod(0o755)
            store.close()
    assert read == "1 runs\n"
    assert "is read-only" in written
    assert "the folder is read-only" in made


def test_reading_imports_neither_sqlalchemy_nor_alembic_nor_numpy_nor_torch(store, create):
    create()
    code = (
        "import sys; from genbench.store import Store\n"
        "store = Store.open(sys.argv[1], mode='read')\n"
        "store.runs(); store.query('SELECT 1')\n"
        "heavy = {'sqlalchemy', 'alembic', 'numpy', 'torch', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, store.url], check=True)


def test_writing_a_current_store_does_not_import_alembic_nor_the_orm(tmp_path):
    code = (
        "import sys; from genbench.store import Store, Recorder\n"
        "from genbench.spec import RunSpec\n"
        "with Store.open(sys.argv[1], mode='create') as store:\n"
        "    spec = RunSpec(model='m', dataset='d', epochs=1, batch_size=1)\n"
        "    run = store.create_run(spec, stages=[('s', 1)], environment={})\n"
        "    with Recorder(store, run.id): pass\n"
        "heavy = {'sqlalchemy.orm', 'alembic', 'numpy', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "runs.db")], check=True)


# --- a person's statements


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs",
        "INSERT INTO run_tags VALUES (1, 'x')",
        "DROP VIEW v_runs",
        "CREATE TEMP TABLE t (x)",
        "ATTACH '{}' AS other",
        "VACUUM INTO '{}'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 5",
        "BEGIN EXCLUSIVE",
        "SELECT 1; DELETE FROM runs",
        "WITH x AS (SELECT 1) DELETE FROM runs",
    ],
)
def test_no_query_changes_anything(store, create, tmp_path, sql):
    create()
    with store.transaction() as connection:
        before = connection.exec_driver_sql("PRAGMA data_version").scalar()
    with pytest.raises(UsageError):
        store.query(sql.format(tmp_path / "stray.db"))
    with store.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA data_version").scalar() == before
    assert len(store.runs()) == 1
    assert not (tmp_path / "stray.db").exists()


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM runs", "SELECT * FROM no", " "])
def test_a_wrong_query_is_one_sentence(store, sql):
    with pytest.raises(UsageError) as caught:
        store.query(sql)
    assert "\n" not in str(caught.value)


def test_a_query_gives_columns_and_rows(store, create):
    run = create(name="one")
    assert store.query("SELECT id, name FROM runs") == (["id", "name"], [(run.id, "one")])
    assert store.query("PRAGMA table_info(run_tags)")[0][:2] == ["cid", "name"]
