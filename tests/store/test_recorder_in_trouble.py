"""What a recorder does while the store is locked, lost, or its run another process's.

Law: nothing that was told is dropped, an epoch is told only when it is stored, and a process
writes nothing more of a run that was taken over.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from stores import SQLITE_ONLY

from genbench.errors import (
    DiskFullError,
    InterruptedRunError,
    LockedError,
    StoreError,
    TakenOverError,
)
from genbench.events import Checkpointing, Noticed, StepsDone
from genbench.store import Recorder, Status, Store, database, failures, recorder as recording
from genbench.store.address import Address

KINDS = SQLITE_ONLY


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Everything that takes seconds takes tenths."""
    monkeypatch.setattr(database, "POLL_S", 0.02)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(failures, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(recording, "FLUSH_S", 0.05)
    monkeypatch.setattr(recording, "NOTICE_S", 0.1)
    monkeypatch.setattr(recording, "HEARTBEAT_S", 0.1)


@contextmanager
def locked(store):
    """Another connection that holds the lock, as a person's sqlite3 in a transaction does."""
    with closing(sqlite3.connect(store.url, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def steps(first, last):
    points = [(step, 1.0 / step) for step in range(first, last + 1)]
    return StepsDone(stage="s", epoch=1, step=last, series={"vae/loss": points})


def stored(store, run_id):
    return [step for step, _ in store.series(run_id, "vae/loss")]


def wait_for_failure(recorder):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        recorder(StepsDone(stage="s", epoch=1, step=1))
        time.sleep(0.02)


# --- a lock


def test_losses_are_kept_while_the_store_is_locked_and_training_goes_on(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        with locked(store):
            began = time.monotonic()
            for step in range(1, 3000, 3):
                recorder(steps(step, step + 2))
            assert time.monotonic() - began < 0.5, "the training waited"
            time.sleep(0.5)  # the recorder's thread tries several times
            assert stored(store, run.id) == []
        recorder(Checkpointing(step=3000))
        assert stored(store, run.id) == list(range(1, 3001))
    (summary,) = store.summaries(run.id)
    assert (summary.n, summary.first, summary.last) == (3000, 1.0, 1 / 3000)


def test_losses_are_written_once_the_lock_is_free_without_another_event(store, create):
    run = create()
    with Recorder(store, run.id) as recorder:
        with locked(store):
            recorder(steps(1, 600))
            time.sleep(0.3)  # the recorder's thread tries, and is refused
        deadline = time.monotonic() + 10
        while not stored(store, run.id) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stored(store, run.id) == list(range(1, 601))


def test_the_end_of_an_epoch_waits_for_the_lock_however_long_and_says_so(store, create, make):
    run, told = create(), []
    with Recorder(store, run.id, tell=told.append) as recorder:
        release = threading.Event()

        def hold():
            with locked(store):
                held.set()
                release.wait(10)

        held = threading.Event()
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(10)
        threading.Timer(1.0, release.set).start()  # five times as long as others would wait
        recorder(make.epoch(1))
        assert release.is_set()
        assert [e.epoch for e in store.epochs(run.id)] == [1]
        holder.join()
    assert 2 <= len(told) <= 5
    assert all(isinstance(event, Noticed) for event in told)
    assert "another process has locked for" in told[0].message


def test_a_stop_ends_the_wait(store, create, make):
    run, began = create(), time.monotonic()
    with Recorder(store, run.id, should_stop=lambda: time.monotonic() > began + 0.3) as recorder:
        with locked(store), pytest.raises(InterruptedRunError, match="while the store"):
            recorder(make.epoch(1))
        assert time.monotonic() - began < 2
    assert store.epochs(run.id) == []


def test_more_losses_than_fit_wait_for_the_lock_and_are_all_written(store, create, monkeypatch):
    monkeypatch.setattr(recording, "HELD_ROWS", 2000)
    run, told = create(), []
    with Recorder(store, run.id, tell=told.append, should_stop=lambda: bool(told)) as recorder:
        with locked(store):
            recorder(steps(1, 1999))
            assert not told
            with pytest.raises(InterruptedRunError):
                recorder(steps(2000, 2100))
        assert told, "the training did not wait"
    assert stored(store, run.id) == list(range(1, 2101))


def test_others_give_up_after_their_half_minute_with_the_sentence(store, create):
    with locked(store), pytest.raises(LockedError, match="been locked by another process"):
        create()


# --- a run that was taken over

TAKEN_OVER = (
    r"was taken over by process 4711 on elsewhere, since this one had sent no heartbeat; it stops, "
    r"and writes nothing more to the run$"
)


def take_away(store, run_id):
    with store.transaction() as connection:
        statement = text("UPDATE runs SET host = 'elsewhere', pid = 4711 WHERE id = :id")
        connection.execute(statement, {"id": run_id})


def test_a_process_writes_nothing_more_of_a_run_that_was_taken_over(store, create, make):
    run = create()
    recorder = Recorder(store, run.id)
    recorder(make.epoch(1))
    take_away(store, run.id)
    with pytest.raises(TakenOverError, match=TAKEN_OVER), recorder:
        recorder(make.epoch(2))
    assert [e.epoch for e in store.epochs(run.id)] == [1]
    before = store.rows("SELECT * FROM runs")
    for mark in (store.finish, store.interrupt, lambda i: store.fail(i, "x")):
        with pytest.raises(TakenOverError):
            mark(run.id)
    assert store.rows("SELECT * FROM runs") == before


def test_a_recorder_that_nobody_closes_does_not_keep_its_process_alive(store, create):
    with Recorder(store, create().id):
        [thread] = [thread for thread in threading.enumerate() if thread.name == "recorder"]
        assert thread.daemon


def test_it_notices_within_a_heartbeat_and_before_each_checkpoint(store, create):
    run = create()
    recorder = Recorder(store, run.id)
    take_away(store, run.id)
    with pytest.raises(TakenOverError):
        recorder(Checkpointing(step=1))
    with pytest.raises(TakenOverError), recorder:
        wait_for_failure(recorder)


def test_a_run_that_was_removed_meanwhile_is_told_as_such(store, create, make):
    run = create()
    recorder = Recorder(store, run.id)
    with store.transaction() as connection:
        connection.execute(text("DELETE FROM runs"))
    with pytest.raises(TakenOverError, match="was removed from the store"):
        recorder(make.epoch(1))


# --- a file that is gone


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("noticed_by", ["heartbeat", "finish"])
def test_a_store_that_goes_while_it_is_written_is_copied_whole(
    store, create, make, replaced, noticed_by
):
    other, run, path = create(name="other"), create(), Path(store.url)
    make.fill(store, other)
    recorder = Recorder(store, run.id)
    recorder(make.epoch(1))
    for file in path.parent.glob("runs.db*"):
        file.unlink()
    if replaced:
        Store.open(path, mode="create").close()
    act = Recorder.finish if noticed_by == "finish" else wait_for_failure
    with (
        pytest.raises(StoreError, match=r"this process wrote to it.*runs\.db\.rescued") as e,
        recorder,
    ):
        act(recorder)
    assert e.value.exit_code == 5
    assert ("replaced" if replaced else "deleted") in str(e.value)
    with Store.open(f"{path}.rescued", mode="read") as rescued:
        assert rescued.query("PRAGMA integrity_check")[1] == [("ok",)]
        assert [e.epoch for e in rescued.epochs(run.id)] == [1]
        assert rescued.scores(other.id) == store.scores(other.id)
        assert rescued.run(other.id).status is Status.FINISHED
    with pytest.raises(StoreError):
        store.finish(run.id)
    assert not Path(f"{path}.rescued-2").exists()


def test_a_log_that_is_deleted_is_noticed_and_nothing_of_it_is_lost(store, create, make):
    run, path = create(), Path(store.url)
    recorder = Recorder(store, run.id)
    recorder(make.epoch(1))
    Path(f"{path}-wal").unlink()
    Path(f"{path}-shm").unlink()
    with pytest.raises(StoreError, match=r"write-ahead log .*runs\.db-wal was deleted"):
        recorder(make.epoch(2))
    with Store.open(f"{path}.rescued", mode="read") as rescued:
        assert [e.epoch for e in rescued.epochs(run.id)] == [1, 2]


def test_a_store_without_its_folder_fails_in_one_sentence(tmp_path, make):
    folder = tmp_path / "folder"
    folder.mkdir()
    with Store.open(folder / "runs.db", mode="create") as store:
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        recorder = Recorder(store, run.id)
        os.rename(folder, tmp_path / "moved")  # noqa: PTH104
        with pytest.raises(StoreError, match=r"deleted or moved away.*can't be copied"):
            recorder(make.epoch(1))


def record_until_the_disk_is_full(store, run, make):
    with Recorder(store, run.id) as recorder:
        recorder(make.epoch(1))
        with store.transaction() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        series = {f"net{i}/loss": [(s, 0.1) for s in range(1000)] for i in range(30)}
        recorder(StepsDone(stage="s", epoch=2, step=1000, series=series))
        for _ in range(400):  # the thread's failure is told by one of these
            recorder(make.steps(2))
            time.sleep(0.05)


def test_a_full_disk_is_told_by_the_next_event_and_keeps_what_was_committed(store, create, make):
    run = create()
    with pytest.raises(DiskFullError, match="no space is left"):
        record_until_the_disk_is_full(store, run, make)
    assert store.query("PRAGMA integrity_check")[1] == [("ok",)]
    assert len(store.epochs(run.id)) == 1


def test_an_error_of_a_server_without_a_message_is_named_by_its_type():
    class OperationalError(Exception):
        sqlstate = None

    failure = failures.translate(OperationalError(), Address.parse("postgresql://host/bench"))
    assert str(failure) == ("the store postgresql://host/bench can't be reached (OperationalError)")
