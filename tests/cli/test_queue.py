"""``genbench queue`` and ``work``: what they show and change, and a sentence for what can't be."""

from __future__ import annotations

import csv
import io

import pytest

from genbench.errors import DeviceError, InterruptedRunError
from genbench.store import Store, claims
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask, TaskState, select_tasks
from genbench.work import Worker, check_devices, slots_for


@pytest.fixture
def tasks(store: Store) -> Store:
    """Three tasks in the queue: one runs here, and the last one needs it."""
    named = {"batch": "study:x", "command": ("run", "vae", "digits")}
    new = [
        NewTask(identity=i, title=f"a wide vae of two layers on digits, seed {i}", **named)
        for i in "01"
    ]
    child = NewTask(identity="2", title="vae on digits, by drs", parents=("0",), **named)
    enqueue(store, [*new, child])
    claims.claim(store, ("auto",))
    return store


def states(store: Store) -> list[str]:
    return [str(task.state) for task in sorted(select_tasks(store), key=lambda t: t.number)]


def test_a_queue_fits_a_terminal_and_leaves_out_what_tells_nothing(tasks, genbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    said = genbench("queue")
    assert said.code == 0, said.err
    heading = said.out.splitlines()[0].split()
    assert heading == ["task", "batch", "title", "state", "age", "note"]
    assert max(map(len, said.out.splitlines())) <= 80
    assert "waits for 1 task" in said.out
    assert "1 task running" in said.err
    [first, *_] = csv.DictReader(io.StringIO(genbench("queue", "--format", "csv").out))
    assert (first["device"], first["priority"], first["attempts"]) == ("auto", "0", "0")


def test_tasks_are_paused_raised_cancelled_and_queued_again(tasks, genbench):
    assert "1 task paused" in genbench("queue", "pause", "2").err
    assert "1 task queued again" in genbench("queue", "resume", "study:x").err
    assert "1 task given the priority 5" in genbench("queue", "raise", "2", "--to", "5").err
    assert claims.claim(tasks, ("auto",)).number == 2
    assert "1 task cancelled" in genbench("queue", "cancel", "1").err
    assert states(tasks) == ["cancelled", "running", "cancelled"]
    assert "2 tasks queued again" in genbench("queue", "retry", "--state", "cancelled").err
    assert states(tasks) == ["queued", "running", "queued"]
    assert "0 tasks removed" in genbench("queue", "rm", "study:x").err


def test_a_change_of_no_task_is_one_sentence(tasks, genbench):
    assert "name tasks or batches" in genbench("queue", "pause").err
    assert "no task or batch is called '9'" in genbench("queue", "cancel", "9").err
    assert "expected one of queued, running" in genbench("queue", "--state", "open").err
    assert states(tasks)[0] == TaskState.RUNNING


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("cuda:2", "this machine has 2 GPUs"),
    ],
)
def test_a_worker_refuses_a_device_that_it_lacks(device, text, genbench, monkeypatch):
    """All tasks that it claimed would fail."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    said = genbench("work", "--device", device)
    assert said.code == 2
    assert text in said.err


def test_a_device_is_looked_for_where_the_worker_runs():
    two = {"CUDA_VISIBLE_DEVICES": "0,1"}
    check_devices(["cpu", "auto", "cuda", "cuda:1"], two)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        check_devices(["cuda"], {"CUDA_VISIBLE_DEVICES": ""})


def test_a_worker_without_a_store_says_so(genbench):
    said = genbench("work", "--until-empty")
    assert said.code == 5
    assert "no store at" in said.err


def test_a_worker_may_be_started_before_anything_is_enqueued(tmp_path):
    url = str(tmp_path / "new.db")
    worker = Worker(url=url, slots=slots_for(["cpu"], None, {}), should_stop=lambda: True)
    with pytest.raises(InterruptedRunError):
        worker.work()
    with Store.open(url) as made:
        assert select_tasks(made) == []


def test_a_worker_refuses_a_store_of_a_newer_version(store, genbench):
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version_num = '0999'")
    said = genbench("work", "--until-empty")
    assert said.code == 5
    assert "has schema 999" in said.err
