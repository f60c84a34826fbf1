"""A run without its process is lost: at once on this machine, after a minute on another."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from genbench.errors import UsageError
from genbench.store import Status, Store, lifecycle
from genbench.store.process import Owner, is_lost, process_start, this_process


def give(store, run_id, **columns):
    """Say that another process owns the run."""
    with store.transaction() as connection:
        for name, value in columns.items():
            statement = text(f"UPDATE runs SET {name} = :value WHERE id = :id")
            connection.execute(statement, {"value": value, "id": run_id})


def seconds_ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def dead_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    assert started is not None
    child.kill()
    child.communicate()
    return child.pid, started


def test_a_run_of_this_process_is_running(store, create):
    run = create()
    give(store, run.id, heartbeat_at=seconds_ago(3600))  # a debugger may hold it for an hour
    assert store.run(run.id).status is Status.RUNNING


def test_a_run_is_lost_at_once_if_its_process_died(store, create):
    run = create()
    pid, started = dead_process()
    give(store, run.id, pid=pid, process_start=started)
    assert store.run(run.id).status is Status.LOST
    assert [r.id for r in store.runs(status="lost")] == [run.id]
    assert store.runs(status="running") == []
    with Store.open(store.url, mode="read") as reader:
        assert reader.run(run.id).status is Status.LOST


def test_a_process_number_that_is_used_again_is_not_the_runs_process(store, create):
    run = create()
    give(store, run.id, pid=os.getpid(), process_start="0/1")
    assert store.run(run.id).status is Status.LOST


def test_a_killed_child_that_nobody_waited_for_counts_as_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(host=this_process().host, pid=child.pid, started=process_start(child.pid))
    assert not is_lost(owner, None)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_lost(owner, None)
    child.communicate()


@pytest.mark.parametrize(
    ("silence", "status"), [(5, Status.RUNNING), (59, Status.RUNNING), (61, Status.LOST)]
)
def test_a_run_on_another_machine_is_lost_after_a_minute_of_silence(store, create, silence, status):
    run = create()
    give(store, run.id, host="elsewhere", heartbeat_at=seconds_ago(silence))
    assert store.run(run.id).status is status


@pytest.mark.parametrize(
    ("ahead", "status"), [(55, Status.RUNNING), (65, Status.LOST), (86_400, Status.LOST)]
)
def test_a_heartbeat_of_a_clock_that_is_ahead_says_nothing(store, create, ahead, status):
    run = create()
    give(store, run.id, host="elsewhere", heartbeat_at=seconds_ago(-ahead))
    assert store.run(run.id).status is status
    if status is Status.LOST:
        assert store.take_over(run.id).status is Status.RUNNING


def test_a_heartbeat_ends_the_silence(store, create):
    run = create()
    give(store, run.id, heartbeat_at=seconds_ago(100))
    with store.transaction() as connection:
        lifecycle.heartbeat(connection, run.id)
    give(store, run.id, host="elsewhere")
    assert store.run(run.id).status is Status.RUNNING


def test_a_live_run_is_not_taken_over(store, create):
    run = create()
    with pytest.raises(UsageError, match=rf"{run.id} is still running \(process {os.getpid()} on"):
        store.take_over(run.id)


@pytest.mark.parametrize("ended", ["lost", "interrupted", "failed"])
def test_a_run_that_stands_still_is_taken_over(store, create, ended):
    run = create()
    if ended == "interrupted":
        store.interrupt(run.id)
    if ended == "failed":
        store.fail(run.id, "no memory")
    pid, started = dead_process()
    give(store, run.id, pid=pid, process_start=started)
    assert store.run(run.id).status == ended
    taken = store.take_over(run.id)
    assert (taken.status, taken.error, taken.finished_at) == (Status.RUNNING, None, None)
    assert store.query("SELECT pid FROM runs")[1] == [(os.getpid(),)]
