"""``genbench watch``: runs while they train, as rows of the store say; nothing is trained here."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from recorded import record, start

from genbench.live.plots import plot
from genbench.store import Store

HOSTILE = "\x1b[31m<script>\u202e"


@dataclass(frozen=True)
class Filled:
    """A store with a run of this process, a lost one and a finished one."""

    folder: Path
    live: str
    lost: str
    finished: str


def kill_owner(folder: Path, run: str) -> None:
    """Give a run to a process that has ended: what kill -9 leaves behind."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    with Store.open(folder / "runs.db") as store, store.transaction() as connection:
        statement = "UPDATE runs SET pid = ?, process_start = 'gone' WHERE id = ?"
        connection.exec_driver_sql(statement, (ended.pid, run))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("watch")
    with Store.open(folder / "runs.db", mode="create") as store:
        finished, lost, live = (start(store, name) for name in ("done", HOSTILE, "alive"))
        for run in (finished, lost, live):
            record(store, run, 4, warning="G has collapsed")
        store.finish(finished)
    kill_owner(folder, lost)
    return Filled(folder, live, lost, finished)


def test_once_shows_live_and_lost_runs_and_a_finished_one_that_is_named(command_line, filled):
    said = command_line("watch", "--once", folder=filled.folder)
    assert said.code == 0, said.err
    assert "1 running, 1 lost" in said.out
    assert filled.live in said.out
    assert f"genbench resume {filled.lost}" in said.out
    assert filled.finished not in said.out
    assert "epoch 4/10 · 12 s left · 2 s per epoch" in said.out
    assert "fd_clf ↓ 33.25 (plain, epoch 4)" in said.out
    assert f"runs/{filled.live}/samples/epoch-0004.png" in said.out
    assert "epoch 4: G has collapsed" in said.out
    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
    named = command_line("watch", "--once", filled.finished, folder=filled.folder)
    assert "1 finished" in named.out
    assert "left" not in named.out


def test_json_has_the_numbers_of_the_store(command_line, filled):
    said = command_line("watch", "--json", "model=vae", folder=filled.folder)
    live, lost = json.loads(said.out)["runs"]
    assert (live["run"], live["state"], lost["state"]) == (filled.live, "running", "lost")
    assert live["losses"] == {"vae/loss": 42.0, "test/loss": 56.0}
    assert live["left_s"] == 12.0
    assert lost["left_s"] is None
    assert live["stage"] == {"name": "train", "epochs_done": 4, "epochs": 10}
    assert live["scores"][0]["value"] == 33.25


def test_nothing_that_trains_is_exit_3_with_what_to_do(command_line, filled):
    said = command_line("watch", "--once", "model=gan", folder=filled.folder)
    assert said.code == 3
    assert "is training" in said.err
    assert "genbench runs" in said.err


def test_lines_follow_a_run_until_it_has_ended(command_line, tmp_path):
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        run = start(store, "alive")
        record(store, run, 1)
        with command_line.process("watch", folder=tmp_path) as watching:
            assert watching.stdout is not None
            first = [watching.stdout.readline() for _ in range(2)]
            record(store, run, 3)
            store.finish(run)
            rest = watching.stdout.read()
    assert watching.returncode == 0
    assert first[1].startswith(f"{run} epoch 1/10  train  vae/loss 49  test/loss 59  1.5 s")
    assert [line.split()[2] for line in rest.splitlines() if " epoch " in line[:18]] == [
        "2/10",
        "3/10",
    ]
    assert rest.splitlines()[-1] == f"{run} finished"


def test_ctrl_c_on_a_terminal_restores_it_and_exits_130(filled):
    controller, terminal = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "genbench", "watch"],
        cwd=filled.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(terminal)
    seen, until = b"", time.monotonic() + 30
    while b"33.25" not in seen and time.monotonic() < until:
        if select.select([controller], [], [], 0.1)[0]:
            seen += os.read(controller, 65536)
    assert filled.live.encode() in seen
    watching.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the terminal closes with its last process
        while chunk := os.read(controller, 65536):
            seen += chunk
    assert watching.wait(20) == 130
    assert b"\x1b[?1049l" in seen  # the screen that was there before
    assert b"\x1b[?25h" in seen  # the cursor
    assert b"Traceback" not in seen
    os.close(controller)


def test_a_falling_curve_falls_in_its_plot_and_a_constant_one_is_flat():
    top, bottom = plot([(x, 10.0 - x) for x in range(11)], 5, 2)
    blank = "\u2800"
    assert top[0] != blank
    assert bottom[-1] != blank
    assert (top[-1], bottom[0]) == (blank, blank)
    [flat] = plot([(0, 1.0), (5, 1.0)], 4, 1)
    assert len(set(flat)) == 1
    assert plot([], 3, 1) == [blank * 3]
    assert plot([(0.0, None), (1.0, float("nan"))], 3, 1) == [blank * 3]
