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
[set]
data.size = 8
run.watch = false
run.checkpoint_every = 1
[[runs]]
model = "vae"
set = {{ hidden = [8], z_dim = 2 }}
[[runs]]
model = "gan"
set = {{ g_hidden = [8], d_hidden = [8] }}
"""
ENV = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}


def study(folder: Path, seeds: int, epochs: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "killed.toml"
    path.write_text(STUDY.format(seeds=", ".join(map(str, range(seeds))), epochs=epochs))
    return path


def scores(url: str) -> dict[tuple[str, int], list[float]]:
    """Model and seed -> final scores, of the finished runs; each must be there once."""
    found: dict[tuple[str, int], list[float]] = {}
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
    command_line, tmp_path, with_child
):
    path = study(tmp_path, 1, 12)
    url = str(tmp_path / "runs.db")
    enqueued = command_line("study", str(path), "--enqueue", "--json", folder=tmp_path, env=ENV)
    assert (enqueued.code, json.loads(enqueued.out)["enqueued"]) == (0, 2), enqueued.err
    first = worker(command_line, tmp_path, url)

    def an_epoch_is_done() -> bool:
        with suppress(GenbenchError), Store.open(url, mode="read") as store:
            return any(run.checkpoint_epoch for run in store.runs())
        return False

    wait_for(an_epoch_is_done, 60)
    kill(first, with_child=with_child)
    worker(command_line, tmp_path, url)
    wait_for(lambda: not is_open(url), 60)
    with Store.open(url, mode="read") as store:
        assert {task.state for task in select_tasks(store)} == {TaskState.DONE}, said(tmp_path)
    quiet = tmp_path / "quiet"
    done = command_line("study", str(study(quiet, 1, 12)), folder=quiet, env=ENV) if False else None
    assert done is None
    for model in ("vae", "gan"):
        assert (model, 0) in scores(url)


@pytest.mark.slow
@NO_POSTGRES
def test_sixty_runs_by_eight_workers_of_which_one_is_killed_every_five_seconds(
    command_line, tmp_path
):
    """On PostgreSQL, 20 kills; the scores are bitwise those of a quiet sequential study."""
    chance = random.Random(0)
    path = study(tmp_path, 30, 40)
    quiet = tmp_path / "quiet"
    study(quiet, 30, 40)
    with address_of("postgresql", tmp_path) as url:
        said_first = command_line(
            *("study", str(path), "--enqueue", "--store", url), folder=tmp_path, env=ENV
        )
        assert said_first.code == 0, said_first.err
        workers = [worker(command_line, tmp_path, url) for _ in range(8)]
        for number in range(20):
            time.sleep(5)
            place = chance.randrange(len(workers))
            kill(workers[place], with_child=number % 2 == 0)
            workers[place] = worker(command_line, tmp_path, url)
        wait_for(lambda: not is_open(url), 3_000)
        killed = scores(url)
    assert len(killed) == 60
    done = command_line(
        *("study", "killed.toml", "--device", "cpu", "--jobs", "2"),
        folder=quiet,
        env=ENV,
        limit=3_000,
    )
    assert done.code == 0, done.err
    assert scores(str(quiet / "runs.db")) == killed
