"""Launchers start workers: the real processes, the script of Slurm, and one sentence without it.

The slow tests run a study through a real one-node Slurm and through a real local Ray.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from command_line import CommandLine
from stores import NO_POSTGRES, address_of

from genbench import UsageError, WorkOrder
from genbench.errors import SettingError, UnknownNameError
from genbench.registry import Registry
from genbench.store import Store
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


def test_workers_without_gpus_are_told_so(tmp_path):
    """A job of Slurm or an actor of Ray that asked for none may see the GPUs of others."""
    wanted = WorkerOptions(store="runs.db", batch="study:x").order(1, tmp_path)
    assert wanted.command[1:] == ("-m", "genbench", "work", "--until-empty", "--batch", "study:x")
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


@pytest.fixture
def slurm_folder() -> None:
    if not shutil.which("sbatch") or not shutil.which("srun"):
        pytest.skip("Slurm is not installed: apt-get install slurm-wlm munge")
    if os.system("sinfo > /dev/null 2>&1"):
        pytest.skip("Slurm is installed, but no controller runs; see CONTRIBUTING.md")


def carried_out(command_line: CommandLine, folder: Path, *words: str) -> None:
    (folder / "small.toml").write_text(STUDY)
    with address_of("postgresql", folder) as url:
        said = command_line(
            *("study", "small.toml", "--jobs", "2", "--json", "--store", url, *words),
            folder=folder,
            limit=600,
        )
        assert said.code == 0, said.err
        assert json.loads(said.out)["trained"] == 2
        with Store.open(url, mode="read") as store:
            assert [run.status for run in store.runs()] == ["finished"] * 2


@pytest.mark.slow
@NO_POSTGRES
def test_a_study_through_a_real_slurm(slurm_folder, command_line, tmp_path):
    pytest.importorskip("submitit")
    carried_out(command_line, tmp_path, "--launcher", "slurm", "--launcher-set", "minutes=10")


@pytest.mark.slow
@NO_POSTGRES
def test_a_study_through_a_real_local_ray(command_line, tmp_path):
    pytest.importorskip("ray")
    carried_out(command_line, tmp_path, "--launcher", "ray")
