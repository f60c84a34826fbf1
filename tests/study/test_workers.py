"""Workers that are killed: the study ends complete, each run once, with the scores of a quiet one.

The workers and their commands are real processes; they are forks of one that imported everything.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import CommandLine
from stores import NO_POSTGRES, address_of

from genbench.errors import GenbenchError
from genbench.store import Store
from genbench.store.tasks import TaskState, select_tasks

STUDY = """
title = "Killed workers"
datasets = ["digits"]
seeds = [{seeds}]
samples = 64
metrics = ["fd_pixel"]
batch_size = 240
epochs = {epochs}
together = false
[set]
data.size = 8
run.watch = false
[[runs]]
model = "vae"
set = {{ hidden = [8], z_dim = 2 }}
{more}
"""
GAN = """
[[runs]]
model = "gan"
set = { g_hidden = [8], d_hidden = [8] }
"""
ENV = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}


Scores = dict[tuple[str, int], list[float]]


def study(folder: Path, seeds: int, epochs: int, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    named = ", ".join(map(str, range(seeds)))
    (folder / "killed.toml").write_text(STUDY.format(seeds=named, epochs=epochs, more=more))
    return folder


def quiet_scores(command_line: CommandLine, folder: Path, limit: float) -> Scores:
    """The scores of the same study, one run after the other, by one command."""
    command = ("study", "killed.toml", "--device", "cpu")
    command_line.start(*command, folder=folder, log=folder / "study.log", env=ENV)

    def is_done() -> bool:
        return "real data (floor)" in (folder / "study.log").read_text()

    wait_for(lambda: (folder / "study.log").exists() and is_done(), limit)
    return scores(str(folder / "runs.db"))


@pytest.fixture(scope="module")
def quiet(command_line, tmp_path_factory) -> Scores:
    return quiet_scores(command_line, study(tmp_path_factory.mktemp("quiet"), 3, 12), 120)


def scores(url: str) -> Scores:
    """Model and seed -> final scores, of the finished runs; each must be there once."""
    found: Scores = {}
    with Store.open(url, mode="read") as store:
        for run in store.runs():
            key = run.model, run.seed
            assert key not in found, f"{key} was trained twice"
            assert run.status == "finished", (key, run.status, run.error)
            assert run.epochs_done == run.epochs_planned
            found[key] = [s.value for s in store.scores(run.id) if s.final and s.value is not None]
            assert found[key]
    return found


def family(pid: int) -> list[int]:
    """A process and its children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        return [pid, *map(int, listed.read_text().split())]
    return [pid]


def kill(pid: int, *, with_child: bool) -> None:
    for process in family(pid) if with_child else [pid]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def is_open(url: str) -> bool:
    with Store.open(url, mode="read") as store:
        return bool(select_tasks(store, states=["queued", "running"]))


def wait_for(what: Callable[[], bool], limit: float) -> None:
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def worker(command_line: CommandLine, folder: Path, url: str) -> int:
    return command_line.start(
        *("work", "--device", "cpu", "--until-empty", "--store", url),
        folder=folder,
        log=folder / "workers.log",
        env=ENV,
    )


def said(folder: Path) -> str:
    return (folder / "workers.log").read_text()


@pytest.mark.parametrize("with_child", [True, False])
def test_a_study_ends_as_a_quiet_one_although_a_worker_is_killed(
    command_line, quiet, tmp_path, with_child
):
    """Without its child, the child goes on and keeps the lease; with it, the run is resumed."""
    study(tmp_path, 3, 12)
    url = str(tmp_path / "runs.db")
    enqueued = command_line(
        *("study", "killed.toml", "--enqueue", "--json", "--device", "cpu"),
        folder=tmp_path,
        env=ENV,
    )
    assert (enqueued.code, json.loads(enqueued.out)["enqueued"]) == (0, 3), enqueued.err
    first = worker(command_line, tmp_path, url)

    def an_epoch_is_done() -> bool:
        with suppress(GenbenchError), Store.open(url, mode="read") as store:
            return any(run.checkpoint_epoch for run in store.runs())
        return False

    wait_for(an_epoch_is_done, 60)
    kill(first, with_child=with_child)
    worker(command_line, tmp_path, url)
    wait_for(lambda: not is_open(url), 90)
    with Store.open(url, mode="read") as store:
        tasks = select_tasks(store)
    assert {task.state for task in tasks} == {TaskState.DONE}, said(tmp_path)
    assert sum(task.attempts for task in tasks) == 1
    assert scores(url) == quiet


COMPRESSED = """
[[compress]]
rows = ["vae"]
methods = [{ name = "prune", label = "pruned", settings = { finetune = false } }]
ratios = [0.5]
epochs = 1
"""


def test_compressed_rows_wait_in_the_queue_for_the_runs_that_they_compress(command_line, tmp_path):
    study(tmp_path, 1, 1, COMPRESSED)
    enqueue = ("study", "killed.toml", "--enqueue", "--device", "cpu")
    assert command_line(*enqueue, folder=tmp_path, env=ENV).code == 0
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert [task.waiting for task in select_tasks(store)] == [0, 1]
    work = ("work", "--until-empty", "--device", "cpu")
    said = command_line(*work, folder=tmp_path, env=ENV, limit=120)
    assert said.code == 0, said.err
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        first, second = select_tasks(store)
        assert {first.state, second.state} == {TaskState.DONE}
        [smaller] = second.runs
        assert store.run(smaller).parents == first.runs


@pytest.mark.slow
@pytest.mark.timeout(7200)
@NO_POSTGRES
def test_sixty_runs_by_eight_workers_of_which_one_is_killed_every_five_seconds(
    command_line, tmp_path
):
    """On PostgreSQL, 20 kills; the scores are bitwise those of a quiet sequential study."""
    chance = random.Random(0)
    study(tmp_path, 30, 40, GAN)
    with address_of("postgresql", tmp_path) as url:
        enqueued = command_line(
            *("study", "killed.toml", "--enqueue", "--device", "cpu", "--store", url),
            folder=tmp_path,
            env=ENV,
        )
        assert enqueued.code == 0, enqueued.err
        workers = [worker(command_line, tmp_path, url) for _ in range(8)]
        for number in range(20):
            time.sleep(5)
            place = chance.randrange(len(workers))
            kill(workers[place], with_child=number % 2 == 0)
            workers[place] = worker(command_line, tmp_path, url)
        wait_for(lambda: not is_open(url), 3_000)
        killed = scores(url)
    assert len(killed) == 60
    assert quiet_scores(command_line, study(tmp_path / "quiet", 30, 40, GAN), 3_000) == killed
