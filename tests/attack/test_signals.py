"""Signals at any moment: a stopped run says so, keeps its checkpoint, and can be resumed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import wait_for

RUN = ("run", "vae", "digits", "--device", "cpu", "--epochs", "4000", "--set", "data.size=8",
       "--set", "hidden=[16]", "--metric", "fd_pixel")  # fmt: skip
STARTING = (("runs",), ("--help",), ("compare",), ("models",), RUN)


BEFORE_US = ("Failed to import the site module", "Could not import runpy module")
AFTER_THE_START = re.compile(r'  File "(?!<frozen |.*genbench/__init__\.py)')
"""A line of a traceback after the start of Python and the import of the package.

Before that no program can answer; the first statement of `genbench.__main__` makes Ctrl-C quiet.
"""


def is_ours(said: str) -> bool:
    """Whether the interrupted program had begun, or nothing was said of an interrupt."""
    if "KeyboardInterrupt" not in said:
        return True
    return not any(why in said for why in BEFORE_US) and bool(AFTER_THE_START.search(said))


def started(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "genbench", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What it said; it has to end within 30 seconds."""
    try:
        return process.communicate(timeout=30)[1]
    finally:
        process.kill()


def check_start(count: int, folder: Path) -> None:
    """Ctrl-C in the first two seconds ends any command without a traceback."""
    order = random.Random(7)
    for number in range(count):
        arguments = STARTING[number % len(STARTING)]
        moment = 0.1 + order.random() * 1.9
        process = started(*arguments, folder=folder)
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        said = ended(process)
        told = f"{arguments} after {moment:.2f} s: exit {process.returncode}\n{said}"
        if is_ours(said):
            assert "Traceback" not in said, told
            assert process.returncode in (0, 130, -signal.SIGINT), told  # a shell says 130


def test_ctrl_c_in_the_first_seconds_is_quiet(spoiled: Path) -> None:
    check_start(len(STARTING), spoiled)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ctrl_c_at_200_moments_of_the_first_seconds_is_quiet(spoiled: Path) -> None:
    check_start(200, spoiled)


def check_bursts(count: int, genbench: Any, folder: Path) -> None:
    """Signals in bursts, of all kinds, end a run; what it reported is there, and it goes on."""
    order = random.Random(8)
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in range(count):
        home = folder / f"burst-{number}"
        home.mkdir()
        process = genbench.process(*RUN, folder=home)
        wait_for(process, "^epoch")
        time.sleep(order.random() * 0.3)
        burst = [kinds[(number + i) % 3] for i in range(order.choice((1, 1, 2, 5)))]
        for kind in burst:
            if process.poll() is None:
                process.send_signal(kind)
            time.sleep(order.random() * 0.01)
        said = ended(process)
        told = f"{burst}: exit {process.returncode}\n{said[-2000:]}"
        assert process.returncode == 130, told
        assert "Traceback" not in said, told
        assert "nothing was stored" not in said, told
        resumed = genbench("resume", "@1", folder=home, limit=2.0)
        assert resumed.code in (0, 130), f"{told}\n{resumed.err}"
        assert "epoch 1/" not in resumed.err, f"it began from the start: {told}"


def test_a_run_ends_by_signals_and_can_be_resumed(genbench: Any, tmp_path: Path) -> None:
    check_bursts(1, genbench, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_60_runs_end_by_bursts_of_signals_and_can_be_resumed(genbench: Any, tmp_path: Path) -> None:
    check_bursts(60, genbench, tmp_path)
