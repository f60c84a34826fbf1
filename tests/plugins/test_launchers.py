"""Launchers start workers: the real processes, the script of Slurm, and one sentence without it.

The slow tests run a study through a real one-node Slurm and through a real local Ray.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import CommandLine
from slurm_node import one_node_slurm, skip_without_slurm
from stores import NO_POSTGRES, address_of

from genbench import UsageError, WorkOrder
from genbench.contracts import DataAccess
from genbench.errors import InterruptedRunError, SettingError, UnknownNameError
from genbench.registry import Registry
from genbench.store import Store
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask, TaskState, counts
from genbench.study import Launched, Places, execute, make_plan, read_study
from genbench.work import WorkerOptions, make_launcher

REGISTRY = Registry.from_environment()
WAITS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
pathlib.Path({log!r}).write_text("up")
time.sleep(60)
"""

STUDY = """
title = "Small"
datasets = ["digits"]
seeds = [0, 1]
samples = 64
metrics = ["fd_pixel"]
batch_size = 240
epochs = 3
together = false
[set]
data.size = 8
run.watch = false
[[runs]]
model = "vae"
set = { hidden = [8], z_dim = 2 }
"""


def order(folder: Path, *command: str, count: int = 2) -> WorkOrder:
    return WorkOrder(command=command, environ={"MARK": "m"}, count=count, folder=folder / "logs")


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{path} has no '{text}'"
        time.sleep(0.02)


def test_a_local_launcher_starts_its_workers_with_their_variables(tmp_path):
    script = "import os; print(os.environ['MARK'], os.getsid(0) == os.getpid())"
    launcher = make_launcher(REGISTRY, "local", [])
    said = launcher.start(order(tmp_path, sys.executable, "-c", script))
    assert "started processes" in said
    for number in range(2):
        wait_for(tmp_path / "logs" / f"worker-{number}.log", "m True")
    assert [process.wait(30) for process in launcher.processes] == [0, 0]


def test_the_script_of_slurm_is_an_array_that_is_requeued_with_notice(tmp_path):
    pytest.importorskip("submitit")
    given = ["partition=main", "gpus=2", "minutes=30", "notice=45", "at_once=3"]
    script = make_launcher(REGISTRY, "slurm", given).script(order(tmp_path, "work", count=8))
    for line in (
        "--array=0-7%3",
        "--partition=main",
        "--gpus-per-node=2",
        "--time=30",
        "--signal=USR2@45",
        "--requeue",
    ):
        assert f"#SBATCH {line}\n" in script
    assert not (tmp_path / "logs").exists()


def test_without_slurm_one_sentence_says_what_is_missing(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="srun was not found"):
        make_launcher(REGISTRY, "slurm", []).start(order(tmp_path, "work"))


@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_without_its_package_one_sentence_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, {"slurm": "submitit"}.get(name, name), None)
    with pytest.raises(UsageError, match=rf"pip install 'genbench\[{name}\]'"):
        make_launcher(REGISTRY, name, []).start(order(tmp_path, "work"))


def test_settings_and_names_of_launchers_are_checked():
    with pytest.raises(SettingError, match="did you mean 'partition'"):
        make_launcher(REGISTRY, "slurm", ["partitoin=main"])
    with pytest.raises(UnknownNameError, match="unknown launcher 'slrm'"):
        make_launcher(REGISTRY, "slrm", [])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        make_launcher(REGISTRY, "local", ["x"])


def test_a_study_that_is_stopped_empties_the_queue_before_it_waits_for_its_workers(tmp_path):
    """A launcher such as ray waits in ``stop`` until its workers end, when nothing is queued."""
    path, url, left = tmp_path / "s.toml", str(tmp_path / "runs.db"), list[int]()
    path.write_text('title = "S"\ndatasets = ["digits"]\n[[runs]]\nmodel = "vae"\nepochs = 1\n')
    access = DataAccess(root=tmp_path, cache=tmp_path, offline=True)
    plan = make_plan(path, read_study(path), REGISTRY, access, {}, tmp_path)

    class Waiting:
        def start(self, order: WorkOrder) -> str:
            return "started"

        def stop(self) -> None:
            with Store.open(url) as store:
                left.append(counts(store).get(TaskState.QUEUED, 0))

    launched = Launched(launcher=Waiting(), order=order(tmp_path))
    places = Places(store=url, folder=tmp_path)
    with pytest.raises(InterruptedRunError):
        execute(plan, places, launched=launched, should_stop=lambda: True, say=lambda text: None)
    assert left == [0]


def test_workers_without_gpus_are_told_so(tmp_path):
    """A job of Slurm or an actor of Ray that asked for none may see the GPUs of others."""
    wanted = WorkerOptions(store="runs.db", batch="study:x").order(1, tmp_path)
    assert wanted.command[1:] == ("-m", "genbench", "work", "--until-empty", "--batch", "study:x")
    assert wanted.environ == {"GENBENCH_STORE": "runs.db"}
    assert "--device cpu" in make_launcher(REGISTRY, "ray", []).script(wanted)
    assert "--device" not in make_launcher(REGISTRY, "ray", ["gpus=1"]).script(wanted)


def test_before_the_time_limit_a_job_stops_its_worker_and_is_submitted_again(tmp_path):
    pytest.importorskip("submitit")
    from genbench_launchers.slurm import Work

    log = tmp_path / "log"
    script = WAITS.format(log=str(log))
    work = Work((sys.executable, "-c", script), {}, str(tmp_path))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(work()))
    thread.start()
    wait_for(log, "up")
    again = work.checkpoint()
    thread.join()
    assert codes == [7]
    assert again.args[0].command == work.command


# --- the real ones


@pytest.fixture(scope="module")
def slurm_node() -> Iterator[Path]:
    """The settings file of a running Slurm; without its packages, the tests are skipped."""
    pytest.importorskip("submitit")
    skip_without_slurm()
    with one_node_slurm() as conf:
        yield conf


@pytest.fixture
def slurm(slurm_node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm_node))


def test_workers_that_a_real_slurm_starts_empty_the_queue(
    slurm, command_line, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    url = str(tmp_path / "runs.db")
    command = ("run", "vae", "digits", "--dry-run", "--json")
    new = NewTask(batch="b", identity="a", title="a", command=command)
    with Store.open(url, mode="create") as store:
        enqueue(store, [new])
        wanted = WorkerOptions(store=url).order(2, tmp_path / "logs")
        wanted = replace(wanted, command=(str(command_line.python), *wanted.command[1:]))
        said = make_launcher(REGISTRY, "slurm", ["minutes=1", "notice=10"]).start(wanted)
        assert "submitted 2 jobs to Slurm" in said
        deadline = time.monotonic() + 60
        while TaskState.DONE not in (found := counts(store)):
            assert time.monotonic() < deadline, (found, said)
            assert TaskState.FAILED not in found
            time.sleep(0.1)


def check_study(command_line: CommandLine, folder: Path, *words: str) -> None:
    """Carry a study out through a launcher; its scores are bitwise those of one without."""
    (folder / "small.toml").write_text(STUDY)
    study = ("study", "small.toml", "--json", "--store")
    with address_of("postgresql", folder) as url:
        said = command_line(*study, url, "--jobs", "2", *words, folder=folder, limit=900)
        assert said.code == 0, said.err
        assert json.loads(said.out)["trained"] == 2
        launched = scores(url)
    quiet = command_line(*study, "quiet.db", "--device", "cpu", folder=folder, limit=300)
    assert quiet.code == 0, quiet.err
    assert scores(str(folder / "quiet.db")) == launched


def scores(url: str) -> dict[int, list[float | None]]:
    """Seed -> scores of its run, which has finished."""
    with Store.open(url, mode="read") as store:
        assert [run.status for run in store.runs()] == ["finished"] * 2
        return {run.seed: [score.value for score in store.scores(run.id)] for run in store.runs()}


@pytest.mark.slow
@NO_POSTGRES
def test_a_study_through_a_real_slurm(slurm, command_line, tmp_path):
    check_study(command_line, tmp_path, "--launcher", "slurm", "--launcher-set", "minutes=10")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@NO_POSTGRES
def test_a_study_through_a_real_local_ray(command_line, tmp_path):
    pytest.importorskip("ray")
    check_study(command_line, tmp_path, "--launcher", "ray")
