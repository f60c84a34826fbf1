"""Whole processes: start-up, runs beside a busy process, and steps by `genbench bench`."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed.pair import Pair, Seconds

FIRST_STEP = """
import os, sys
from genbench.engine import update
update.Update.__call__ = lambda *a, **k: os._exit(0)
sys.argv = ["genbench", "-q", "run", "vae", "digits", "--epochs", "1", "--threads", "1"]
from genbench.cli import main
main()
"""
RUN = ("run", "vaegan", "digits", "--epochs", "20", "--set", "vae_epochs=10", "--metric")
RUN += ("fd_pixel", "--offline", "-q")
OWN = "as it is"
IDLE: dict[str, dict[str, str]] = {
    OWN: {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"GENBENCH_THREADS": "1"},
}
"""Settings of the machine for a run, as environment variables."""
SET_BY_A_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def child(*arguments: str) -> Seconds:
    """Seconds of a process of this Python in an empty folder."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def start_up(rounds: int) -> Pair:
    """The import of torch, and `genbench run` to its first update; the first round warms up."""
    pair = Pair("start-up: `import torch`, and `run` to its first step", "a process")
    for k in range(rounds + 1):
        theirs, ours = child("-c", "import torch"), child("-c", FIRST_STEP)
        if k:
            pair.add(theirs, ours)
    return pair


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Training seconds of a run: alone with each of `IDLE`, and beside a busy process."""

    alone: Mapping[str, float]
    beside: float

    @property
    def explained(self) -> float:
        """How much longer one busy process lets a run of as many threads as cores take."""
        cores = os.cpu_count() or 1
        return (cores + 1) / cores


def sharing(rounds: int) -> Sharing:
    """Medians over rounds, in which all take turns."""
    alone: dict[str, list[float]] = {name: [] for name in IDLE}
    beside = []
    for _ in range(rounds):
        for name, environ in IDLE.items():
            alone[name].append(_training_seconds(environ))
        with _busy():
            beside.append(_training_seconds({}))
    return Sharing(
        alone={name: statistics.median(seconds) for name, seconds in alone.items()},
        beside=statistics.median(beside),
    )


def _training_seconds(environ: Mapping[str, str]) -> float:
    kept = {name: value for name, value in os.environ.items() if name not in SET_BY_A_USER}
    given = {**kept, **environ}
    with tempfile.TemporaryDirectory() as folder:
        _genbench(RUN, folder, given)
        shown = json.loads(_genbench(("show", "@1", "--json"), folder, given))
    return sum(epoch["train_s"] for epoch in shown["epochs"])


@contextmanager
def _busy() -> Iterator[None]:
    """Another process that never waits."""
    other = multiprocessing.get_context("spawn").Process(target=_never_waits, daemon=True)
    other.start()
    try:
        yield
    finally:
        other.kill()
        other.join()


def _never_waits() -> None:
    while True:
        pass


def steps(
    models: Sequence[tuple[str, str]], rounds: int, data_dir: Path | None
) -> list[dict[str, Any]]:
    """What `genbench bench` measures of a stage of each model on MNIST, by its median step."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {one: [] for one in models}
    where = () if data_dir is None else ("--data-dir", str(data_dir.absolute()))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for model, stage in models:
                words = ("bench", model, "mnist", "--batch-size", "100", "--compare", "none")
                told = json.loads(_genbench((*words, "-q", "--json", *where), folder, os.environ))
                found[model, stage] += [one for one in told["stages"] if one["stage"] == stage]
    middle = []
    for rows in found.values():
        ordered = sorted(rows, key=lambda row: row["ms"])
        middle.append(ordered[len(ordered) // 2])
    return middle


def _genbench(words: Sequence[str], folder: str, environ: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "genbench", *words]
    done = subprocess.run(command, cwd=folder, env=environ, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
