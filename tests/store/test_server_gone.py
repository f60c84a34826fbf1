"""A server that goes away while a run trains: one sentence, and the run can be resumed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from postgres_server import PostgresServer, why_not

from genbench.errors import StoreError
from genbench.store import Status, Store
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask, select_tasks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]
EPOCHS = 60
RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--batch-size", "240", "--metric", "none"),
    *("--set", "data.size=8", "--set", "hidden=[16]", "--no-watch", "--epochs", str(EPOCHS)),
)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    made = PostgresServer()
    made.start()
    yield made
    made.remove()


def epochs_told(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^epoch +(\d+)", text, re.MULTILINE)]


def wait_for_epochs(url: str, count: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with suppress(StoreError), Store.open(url, mode="read") as store:
            if any(run.epochs_done >= count for run in store.runs()):
                return
        time.sleep(0.1)
    raise AssertionError("the run did not begin")


def test_a_server_that_stops_ends_the_run_with_a_sentence_and_nothing_reported_is_lost(
    server, command_line, tmp_path
):
    url = server.url("postgres")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(command_line, *RUN, "--store", url, folder=tmp_path, limit=120)
        wait_for_epochs(url, 3)
        server.stop()
        said = running.result()
    assert said.code == 5, said.err
    [sentence] = [line for line in said.err.splitlines() if "error" in line]
    assert "can't be reached" in sentence
    assert "genbench resume" in sentence
    assert "Traceback" not in said.err
    unreachable = command_line("runs", "--store", url, folder=tmp_path)
    assert (unreachable.code, len(unreachable.err.splitlines())) == (5, 1), unreachable.err
    server.start()
    with Store.open(url, mode="read") as store:
        [run] = store.runs()
        assert run.status is not Status.FINISHED
        assert run.id in sentence
        stored = [epoch.epoch for epoch in store.epochs(run.id)]
        assert set(epochs_told(said.err)) <= set(stored)
        assert stored == list(range(1, len(stored) + 1))
    again = command_line("resume", run.id, "--store", url, folder=tmp_path, limit=120)
    assert again.code == 0, again.err
    with Store.open(url, mode="read") as store:
        assert store.run(run.id).status is Status.FINISHED
        assert [epoch.epoch for epoch in store.epochs(run.id)] == list(range(1, EPOCHS + 1))


def test_a_worker_with_a_spool_finishes_its_run_without_the_server(server, command_line, tmp_path):
    url, spool = server.url("postgres"), tmp_path / "node.db"
    with Store.open(url, mode="create") as store:
        words = (*RUN, "--json")
        enqueue(store, [NewTask(batch="s", identity="a", title="a", command=words, parents=())])
    work = ("work", "--until-empty", "--device", "cpu", "--store", url, "--spool", str(spool))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(command_line, *work, folder=tmp_path, limit=240)
        wait_for_epochs(str(spool), 3)
        server.stop()
        said = working.result()
    assert said.code == 5, said.err
    assert f"genbench store merge {spool}" in said.err.splitlines()[-1]
    with Store.open(spool, mode="read") as own:
        [run] = own.runs()
        assert (run.status, run.epochs_done) == (Status.FINISHED, EPOCHS)
    server.start()
    for count in (1, 0):
        merged = command_line("store", "merge", str(spool), "--store", url, folder=tmp_path)
        assert f"{count} run" in merged.err, merged.err
    again = command_line(*work, folder=tmp_path, limit=120)
    assert again.code == 0, again.err
    with Store.open(url, mode="read") as store:
        assert [(found.id, found.status) for found in store.runs()] == [(run.id, Status.FINISHED)]
        [task] = select_tasks(store)
        assert (task.state, task.runs) == ("done", (run.id,))
