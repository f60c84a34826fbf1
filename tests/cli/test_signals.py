"""Ctrl-C at any moment, SIGTERM, SIGHUP: quiet, nothing lost, nothing untrue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import wait_for

from genbench.cli.stopping import ONE_PRESS_S, StopSignals
from genbench.store import Store
from genbench.store.process import ENDS_WITH, process_start
from genbench.store.records import Status

SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--device", "cpu")
LONG = ("run", "vae", "digits", *SMALL, "--epochs", "100000", "--metric", "fd_pixel", "--no-watch")


def start(folder: Path, *words: str, python=("-m", "genbench")) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *python, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


BEGIN = """
import _signal, runpy
take = _signal.signal
_signal.signal = lambda *given: (take(*given), print(flush=True))[0]
runpy.run_module("genbench", run_name="__main__")
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("words", [("models",), LONG], ids=["models", "run"])
def test_an_interrupt_in_the_first_second_is_quiet(tmp_path, words, delay) -> None:
    # Counted from our first statement: before it Python itself starts, which no program can help.
    process = start(tmp_path, *words, python=("-c", BEGIN))
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # Python's own end takes the handlers away: the shell says 130 of that too.
    assert process.returncode in (130, -signal.SIGINT, 0)
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def test_a_hangup_leaves_a_checkpoint_and_is_no_second_signal(command_line, tmp_path) -> None:
    process = command_line.process(*LONG, "--json", folder=tmp_path)
    wait_for(process, r"^epoch +1/")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["status"] == "interrupted"
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert list(store.folder("@1").parent.glob("*/checkpoints/step-*"))


@pytest.mark.parametrize("number", range(4))
def test_a_signal_storm_never_asserts_and_tells_the_truth(command_line, tmp_path, number) -> None:
    process = command_line.process(*LONG, "--json", folder=tmp_path)
    if number % 2:
        wait_for(process, r"^run ")
    else:
        while not (tmp_path / "runs.db").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.03 * number)
    process.send_signal(signal.SIGTERM)
    for _ in range(12):
        time.sleep(ONE_PRESS_S / 4)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err
    assert "Assertion" not in err
    # If it was stopped before the store had its tables, the next command makes them.
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        runs = store.runs()
        if "nothing was stored" in err:
            assert runs == []
        for run in runs:
            assert run.status is Status.INTERRUPTED
            assert f"genbench resume {run.id}" in err
            # Later signals may end it before, or amid, the JSON that it closes with.
            if out and process.returncode == 130:
                assert json.loads(out)["run"] == run.id


def test_the_second_press_stops_at_once_and_later_ones_leave_the_saving_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals(quiet=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        signal.raise_signal(signal.SIGTERM)  # the same press
        time.sleep(ONE_PRESS_S)
        signal.raise_signal(signal.SIGHUP)  # never a second one
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        time.sleep(ONE_PRESS_S)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_that_only_its_parent_ends_stops_when_the_parent_is_gone(monkeypatch) -> None:
    monkeypatch.setenv(ENDS_WITH, str(os.getppid()))
    assert not StopSignals()()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setenv(ENDS_WITH, str(ended.pid))
    assert StopSignals()()


WAITS = """
import os, pathlib, time
from genbench.cli.stopping import StopSignals
pathlib.Path("child").write_text(str(os.getpid()))
stop = StopSignals()
while not stop():
    time.sleep(0.02)
"""
STARTS = """
import pathlib, sys
from genbench.work import Command, carry_out
sys.executable = str(pathlib.Path("python").resolve())
command = Command(title="", arguments=(), log=pathlib.Path("log"), enough=lambda: False)
carry_out([command], at_once=1, should_stop=lambda: False, ended=lambda end: None)
"""


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_parent_takes_a_command_without_an_end_of_its_own_with_it(tmp_path: Path) -> None:
    script, child = tmp_path / "python", tmp_path / "child"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{WAITS}'\n")
    script.chmod(0o755)
    parent = start(tmp_path, python=("-c", STARTS))
    until(lambda: child.exists() and child.read_text())
    parent.kill()
    parent.communicate()
    until(lambda: process_start(int(child.read_text())) is None)
