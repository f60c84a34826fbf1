"""Eight processes write into one store at once: eight complete runs, no lock error."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.store import Store
from genbench.store.records import Status

PROCESSES = 8
RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--epochs", "8", "--batch-size", "240"),
    *("--set", "data.size=8", "--set", "hidden=[16]", "--log-every", "1", "--metric", "fd_pixel"),
    *("--json", "--name"),
)


def start(folder: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "genbench", *RUN, f"run-{number}", "--seed", str(number)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_8_processes_at_once_leave_8_complete_runs_in_one_store(tmp_path: Path) -> None:
    processes = [start(tmp_path, number) for number in range(PROCESSES)]
    said = [process.communicate(timeout=300) for process in processes]
    errors = [stderr for _, stderr in said]
    assert [process.returncode for process in processes] == [0] * PROCESSES, errors
    assert not any("lock" in stderr for stderr in errors)
    assert {json.loads(stdout)["status"] for stdout, _ in said} == {"finished"}
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        runs = store.runs()
        assert sorted(run.name or "" for run in runs) == [f"run-{n}" for n in range(PROCESSES)]
        assert len({run.experiment for run in runs}) == 1
        for run in runs:
            assert run.status is Status.FINISHED
            assert [epoch.epoch for epoch in store.epochs(run.id)] == list(range(1, 9))
            assert [step for step, _ in store.series(run.id, "vae/loss")] == list(range(1, 41))
            assert [score.metric for score in store.scores(run.id)] == ["fd_pixel"]
    with sqlite3.connect(tmp_path / "runs.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
