"""A store that was copied is equal, table by table; a store that is merged twice is merged once."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from stores import STORES, address_of

from genbench.errors import StoreError, UsageError
from genbench.store import Status, Store, claims
from genbench.store.copying import TABLES, _rows, copy_store, merge_store, note_task
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask, runs_made_by, select_tasks
from genbench.work.next_command import next_command


def everything(store: Store) -> dict[str, list[tuple]]:
    with store.transaction() as connection:
        return {table.name: list(_rows(connection, table)) for table in TABLES}


def fill(store: Store, make) -> None:
    for seed, name in ((1, "Ähre"), (2, None)):
        spec = make.spec(seed=seed)
        run = store.create_run(
            spec, name=name, tags=("b", "A", "ä"), stages=make.stages, environment={"cpu": "x"}
        )
        make.fill(store, run)
    enqueue(store, [NewTask(batch="b", identity="i", title="t", command=("run",), parents=())])


@pytest.mark.parametrize("kind", STORES)
def test_a_store_copied_there_and_back_is_equal_table_by_table(kind, make, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "back").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        fill(store, make)
        before = everything(store)
        with address_of(kind, tmp_path / "there") as url, Store.open(url, mode="create") as there:
            copied = copy_store(store, there)
            assert everything(there) == before
            assert copied.rows["runs"] == len(copied.folders) == 2
            assert all(copied.rows[name] == len(rows) for name, rows in before.items())
            with Store.open(tmp_path / "back" / "runs.db", mode="create") as back:
                copy_store(there, back)
                assert everything(back) == before
                for run in back.runs():
                    picture = "samples/epoch-3.png"
                    assert (back.folder(run.id) / picture).read_bytes() == b"a picture"
            new = there.create_run(make.spec(seed=3), stages=make.stages, environment={})
            assert there.run(new.id).status is Status.RUNNING
            with pytest.raises(UsageError, match="is not empty"):
                copy_store(store, there)


def test_a_copy_that_is_not_equal_is_no_copy(make, tmp_path):
    """SQLite would store anything in any column; a type that comes back changed is an error."""
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        fill(store, make)
    (tmp_path / "other").mkdir()
    Store.open(tmp_path / "other" / "runs.db", mode="create").close()
    with closing(sqlite3.connect(tmp_path / "other" / "runs.db")) as connection:
        connection.execute(
            "CREATE TRIGGER t AFTER INSERT ON epochs BEGIN "
            "UPDATE epochs SET train_s = 7 WHERE run = new.run; END"
        )
        connection.commit()
    with Store.open(tmp_path / "runs.db") as store, Store.open(tmp_path / "other/runs.db") as other:
        with pytest.raises(StoreError, match="row 1 of table 'epochs' is not the same"):
            copy_store(store, other)
        assert other.runs() == []


def test_merging_twice_is_merging_once_and_a_running_run_waits(make, tmp_path):
    for name in ("spool", "main"):
        (tmp_path / name).mkdir()
    with (
        Store.open(tmp_path / "spool" / "runs.db", mode="create") as spool,
        Store.open(tmp_path / "main" / "runs.db", mode="create") as main,
    ):
        fill(spool, make)
        running = spool.create_run(make.spec(seed=9), stages=make.stages, environment={})
        found, left = merge_store(spool, main)
        assert (len(found.new), list(left)) == (2, [running.id])
        before = {run.id: main.scores(run.id) for run in main.runs()}
        again, _ = merge_store(spool, main)
        assert (len(again.new), len(again.known)) == (0, 2)
        assert {run.id: main.scores(run.id) for run in main.runs()} == before
        spool.interrupt(running.id)
        last, left = merge_store(spool, main)
        assert (last.new, list(left)) == ((running.id,), [])


def test_the_commands_copy_and_merge(make, tmp_path, genbench):
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        fill(store, make)
    (tmp_path / "new").mkdir()
    said = genbench("store", "copy", "runs.db", "new/runs.db", "--json")
    assert (said.code, said.json["rows"]["runs"]) == (0, 2), said.err
    said = genbench("store", "merge", "new/runs.db", "--json")
    assert (said.code, len(said.json["known"])) == (0, 2), said.err
    assert genbench("store", "copy", "runs.db", "./runs.db").code == 2


def test_a_merged_run_of_a_task_is_not_made_again(make, tmp_path):
    """A worker's own store notes the tasks of its runs, and the queue knows them after a merge."""
    (tmp_path / "spool").mkdir()
    with (
        Store.open(tmp_path / "spool" / "node.db", mode="create") as spool,
        Store.open(tmp_path / "runs.db", mode="create") as store,
    ):
        names = ("a", "b")
        new = [NewTask(batch="s", identity=i, title=i, command=("run",), parents=()) for i in names]
        enqueue(store, new)
        task = claims.claim(store, ("auto",))
        run = spool.create_run(make.spec(), stages=make.stages, environment={})
        make.fill(spool, run)
        note_task(spool, task, [run.id])
        for new in ((run.id,), ()):
            assert merge_store(spool, store)[0].new == new
            assert runs_made_by(store, task) == [run.id]
        assert next_command(task, [store.run(run.id)], {}) is None
        assert [runs_made_by(store, other) for other in select_tasks(store)].count([]) == 1
