"""What only a store on PostgreSQL can do, and that it answers as SQLite does."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from postgres_server import shared_server
from recorded import record, start
from stores import GIVEN, NO_POSTGRES, STORES, address_of, opened_store

from genbench.compare.read_results import quoted
from genbench.errors import NoSuchRunError, StoreError, UsageError
from genbench.events import Resumed
from genbench.live.run_list import run_list
from genbench.live.run_page import run_page
from genbench.live.state import read_live
from genbench.store import Recorder, Status, Store
from genbench.store.address import Address
from genbench.store.database import Database, lock_schema
from genbench.store.filters import parse
from genbench.store.migrate import migrate
from genbench.store.schema import metadata
from genbench.store.views import VIEWS
from genbench.work.children import Command, carry_out

pytestmark = NO_POSTGRES
KINDS = STORES[1:]


def test_processes_that_open_an_empty_database_at_once_make_one_store(tmp_path):
    with address_of("postgresql", tmp_path) as url, ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Store.open(url, mode="create"), range(4)))
        assert [store.runs() for store in opened] == [[]] * 4
        for store in opened:
            store.close()


def test_a_run_comes_back_from_postgresql_as_from_sqlite(store, create, make, tmp_path):
    with Store.open(tmp_path / "runs.db", mode="create") as sqlite:
        there = sqlite.create_run(
            make.spec(),
            stages=make.stages,
            environment=make.environment,
            plugins=make.plugins,
        )
        make.fill(sqlite, there)
        here = create()
        make.fill(store, here)
        assert store.run(here.id).status is Status.FINISHED
        told = ("stages", "epochs", "summaries", "keys", "artifacts", "params", "plugins")
        for what in (*told, "environment"):
            assert getattr(store, what)(here.id) == getattr(sqlite, what)(there.id), what
        assert [s.value for s in store.scores(here.id)] == [
            s.value for s in sqlite.scores(there.id)
        ]
        for view in VIEWS:
            (_, ours), (_, theirs) = (s.query(f"SELECT * FROM {view}") for s in (store, sqlite))
            assert len(ours) == len(theirs) > 0, view


def test_a_rewind_works_on_postgresql(store, create, make):
    run = create()
    with Recorder(store, run.id) as recorder:
        for epoch in (1, 2):
            recorder(make.steps(epoch))
            recorder(make.epoch(epoch))
            recorder(make.evaluation(epoch, 1.0))
        recorder(Resumed(step=10, epoch=1))
    assert [e.epoch for e in store.epochs(run.id)] == [1]
    assert [(s.key, s.n) for s in store.summaries(run.id)] == [
        ("generator/loss", 2),
        ("test/loss", 1),
    ]


def columns_of(path: Path) -> dict[str, set[str]]:
    """The columns of each table and view of an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        return {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for name in names
        }


def test_an_older_store_is_migrated_on_postgresql(store, create, make):
    """Schema 2 is made from today's by dropping what the stored file of schema 2 doesn't have."""
    run = create()
    make.fill(store, run)
    before = {view: store.query(f"SELECT * FROM {view} ORDER BY 1")[1] for view in VIEWS}
    old = columns_of(Path(__file__).parent / "old" / "v2.db")
    with store.transaction() as connection:
        for view in VIEWS:
            connection.exec_driver_sql(f"DROP VIEW {view}")
        for table in reversed(metadata.sorted_tables):
            if table.name not in old:
                connection.exec_driver_sql(f"DROP TABLE {table.name}")
                continue
            for column in table.columns:
                if column.name not in old[table.name]:
                    statement = f"ALTER TABLE {table.name} DROP COLUMN {column.name}"
                    connection.exec_driver_sql(statement)
        for view in VIEWS:
            if view in old:
                connection.exec_driver_sql(f"CREATE VIEW {view} AS SELECT 1 AS id")
        connection.exec_driver_sql("UPDATE metric_summary SET n = 2 * n")
        connection.exec_driver_sql("UPDATE schema_version SET version_num = '0002'")
    with ThreadPoolExecutor(3) as pool:  # one migrates, the others find it done
        list(pool.map(migrate, [store._address] * 3))
    told = ("v_runs", "v_scores", "v_score_history", "v_epochs")
    after = {view: store.query(f"SELECT * FROM {view} ORDER BY 1")[1] for view in told}
    assert {v: len(after[v]) for v in told} == {v: len(before[v]) for v in told}
    assert {s.key: s.n for s in store.summaries(run.id)} == {
        "generator/loss": 6,
        "test/loss": 3,
        "watch/classes": 3,
    }
    assert [s.seed for s in store.scores(run.id)] == [run.seed] * 3


def test_references_and_names_work_on_postgresql(store, create):
    run = create(name="first")
    assert store.resolve("@1") == store.resolve("first") == store.resolve(run.id[:6]) == run.id
    with pytest.raises(UsageError, match="taken"):
        create(name="first")
    with pytest.raises(NoSuchRunError):
        store.resolve("zz")
    store.finish(run.id)
    store.delete(run.id)
    assert store.runs() == []


@pytest.mark.parametrize("sql", ["DELETE FROM runs", "COMMIT; DELETE FROM runs", "SELEC 1"])
def test_no_query_changes_a_postgresql_store(store, create, sql):
    create()
    with pytest.raises(UsageError):
        store.query(sql)
    assert len(store.runs()) == 1


def test_the_live_view_reads_postgresql_as_it_reads_sqlite(store, tmp_path):
    with Store.open(tmp_path / "runs.db", mode="create") as sqlite:
        found = []
        for opened in (store, sqlite):
            for model in ("vae", "gan"):
                run = start(opened, model=model)
                record(opened, run, 2, half=True, warning="G has collapsed")
            [live] = read_live(opened, [run])
            numbers = (live.state, live.epoch, live.left_s, live.losses, live.scores, live.warnings)
            opened.finish(run)
            page = run_page(opened, run, can=lambda *_: frozenset(), defaults=lambda spec: {})
            heads = [part.partition("</h3>")[0] for part in page.parts.values()]
            listed = run_list(opened, "model=gan fd_clf<100", "-fd_clf", 1)
            found.append((numbers, [head.partition("<h3>")[2] for head in heads]))
            assert list(listed.parts) == [f"run-{run}"]
    assert found[0] == found[1]


def test_the_comparison_follows_a_postgresql_store(store):
    pytest.importorskip("starlette")
    from genbench.live.server import Pages

    pages = Pages(store, can=lambda *_: frozenset(), defaults=lambda spec: {})
    run = start(store)
    record(store, run, 2)
    before = pages.settled()
    assert pages.settled() == before
    assert pages.pulse() != pages.pulse()  # no count of commits: the page itself is compared
    store.finish(run)
    assert pages.settled() != before


def test_opening_for_reading_makes_no_store_on_postgresql(tmp_path):
    with (
        address_of("postgresql", tmp_path) as url,
        pytest.raises(StoreError, match="no store at"),
    ):
        Store.open(url, mode="read")


@pytest.fixture(scope="module")
def filled(make, tmp_path_factory) -> Iterator[tuple[Path, Store, Store]]:
    """The folder of a store on PostgreSQL and one of SQLite, with the same three runs.

    The first run is running.
    """
    folder: Path = tmp_path_factory.mktemp("filled")
    with (
        opened_store("postgresql", folder) as postgresql,
        Store.open(folder / "runs.db", mode="create") as sqlite,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for opened in (postgresql, sqlite):
                for seed, name in enumerate(("first", "second", None)):
                    told = {"name": name, "tags": ("a1", "b")[:seed]}
                    run = make.create(opened, make.spec(seed=seed), **told)
                    if seed:
                        make.fill(opened, run)
        yield folder, postgresql, sqlite


FILTERS = (
    "model=vaegan,gan seed=1",
    "model.lr=1e-3",
    "lr>2",
    "widths=[64,32]",
    "conv=false",
    "fd_clf<1e9",
    "fd_clf@plain=none",
    "tag:a* name:FIRST",
    "tag=none",
    "dataset=digits",
    "status=finished",
    "status!=finished",
    "started>2026-01-01",
    "finished=none",
    "cpu:a*",
    "preset=none",
    "name='; drop table runs; --",
)


@pytest.mark.parametrize("words", FILTERS)
def test_filters_select_the_same_runs_on_postgresql_as_on_sqlite(filled, words) -> None:
    found = []
    for opened in filled[1:]:
        where = parse([words])
        with opened.stream("select seed from runs order by seed", where) as (_, rows):
            seeds = list(rows)
        assert {(run.seed,) for run in opened.runs(where=where, sort="lr")} == set(seeds)
        found.append(seeds)
    assert found[0] == found[1]


def test_a_list_of_no_ids_selects_nothing_on_postgresql_as_on_sqlite(filled) -> None:
    """As for a study that has no finished run yet; PostgreSQL refuses ``IN ()``."""
    for opened in filled[1:]:
        assert opened.rows(f"SELECT id FROM runs WHERE id IN ({quoted([])})") == []


def test_nul_is_refused_in_names_and_stored_as_an_escape_in_other_texts(store, create):
    with pytest.raises(UsageError, match="NUL"):
        create(name="a\0b")
    run = create(tags=["a"])
    for text in ({"name": "\0"}, {"note": "a\0"}, {"tags": ["\0"]}):
        with pytest.raises(UsageError, match="NUL"):
            store.edit(run.id, **text)
    store.fail(run.id, "it said a\0b")
    assert store.run(run.id).error == "it said a\\x00b"
    assert [found.id for found in store.runs(where=parse(["error:*a\0b"]))] == [run.id]


@pytest.mark.parametrize("command", [
    ("compare", "--by", "lr", "--json"), ("compare", "--pareto"), ("runs", "--sort", "-lr"),
    ("report", "--out", "page.html"), ("show", "@1"), ("export", "one.zip", "@1"),
    ("export", "--csv", "tables"), ("compare", "--metric", "fd_clf", "--target", "9"),
    ("export", "--parquet", "tables"), ("watch", "--once"), ("edit", "@1", "--note", "=1+1"),
])  # fmt: skip
def test_the_commands_that_read_a_store_work_on_postgresql(filled, command_line, command):
    if "--parquet" in command:
        pytest.importorskip("pyarrow")
    folder, store, _ = filled
    said = command_line(*command, "--store", store._address.url, folder=folder)
    said.check()
    assert said.code in ((0, 3) if command[0] == "watch" else (0,)), said.err


def test_datasette_cannot_read_postgresql_and_the_message_says_so(
    store, create, command_line, tmp_path
):
    create()
    said = command_line(
        "export", "--datasette", "about.json", "--store", store._address.url, folder=tmp_path
    )
    assert said.code == 2
    assert "datasette reads SQLite files" in said.err


def test_processes_that_open_an_empty_database_at_once_wait_for_one_lock(tmp_path):
    """The lock is held by another connection: nobody makes tables until it is given back."""
    from sqlalchemy import inspect

    with address_of("postgresql", tmp_path) as url:
        database = Database(Address.parse(url))
        with ThreadPoolExecutor(2) as pool:
            with database.transaction() as connection:
                lock_schema(connection)
                opening = [pool.submit(Store.open, url, mode="create") for _ in range(2)]
                waited = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                deadline = time.monotonic() + 30
                while connection.exec_driver_sql(waited).scalar() != 2:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                assert inspect(connection).get_table_names() == []
            for opened in opening:
                opened.result().close()
        database.close()


SECRET = "pass:/word"


@pytest.fixture(scope="module")
def guarded() -> str:
    """The URL of a database that asks for a password."""
    if GIVEN:
        pytest.skip("the role with a password is one of the tests' own server")
    server = shared_server()
    server.sql(f"CREATE ROLE guarded LOGIN CREATEDB PASSWORD '{SECRET}'")
    server.sql("CREATE DATABASE guarded OWNER guarded")
    return server.url("guarded", f"guarded:{quote(SECRET, safe='')}")


def test_no_message_and_no_output_of_a_store_has_its_password(guarded, command_line, tmp_path):
    wrong = guarded.replace("%2F", "")
    cases = (
        (5, ("runs",), wrong),
        (5, ("runs",), guarded.replace("genbench-pg", "no-such-server")),
        (5, ("runs",), guarded.replace("/guarded?", "/nothing?")),
        (5, ("runs",), guarded.replace("postgresql:", "postgresq:")),
        (5, ("query", "SELECT 1"), guarded),  # no store is there yet
        (0, ("bench", "vae", "moons", "--help"), guarded),
        (0, ("launch", "local", "--dry-run"), guarded),
    )
    for code, words, url in cases:
        said = command_line(*words, folder=tmp_path, env={"GENBENCH_STORE": url})
        assert said.code == code, (words, said.err)
        assert "word" not in (said.out + said.err).replace("password", ""), said.err
        assert said.err.count("\n") <= 1, said.err


def test_a_child_writes_no_password_into_its_log(guarded, tmp_path):
    command = Command(title="runs", arguments=("runs", "--store", guarded), log=tmp_path / "log")
    carry_out([command], at_once=1, should_stop=lambda: False, ended=lambda end: None)
    log = (tmp_path / "log").read_text()
    assert "guarded:***@" in log
    assert "word" not in log.replace("password", "")
