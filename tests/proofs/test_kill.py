"""kill -9 at any moment loses no reported epoch, and a resumed run ends where an unbroken one ends.

The run has two stages, averaged weights, scores and pictures between its epochs and at its end;
it is killed at random moments of its measured length, from its row in the store to its end: while
it trains, writes a checkpoint, scores, or finishes.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import CommandLine
from small_files import shown

from genbench.store import Store
from genbench.store.records import Status

RUN = (
    *("run", "vaegan", "digits", "--device", "cpu", "--epochs", "30", "--batch-size", "50"),
    *("--set", "vae_epochs=20", "--set", "data.size=8", "--set", "vae_hidden=[32]"),
    *("--set", "g_hidden=[32]", "--set", "d_hidden=[32]", "--set", "latent_dim=4"),
    *(
        "--ema",
        "0.9",
        "--evaluate-every",
        "10",
        "--metric",
        "fd_pixel",
        "--metric",
        "reconstruction",
    ),
)

BEGUN = re.compile(r"^run \w+: ", re.MULTILINE)
FINISHED = re.compile(r"^run \w+ finished", re.MULTILINE)
EPOCH = re.compile(r"^epoch +(\d+)/", re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """All of a run that decides a number, or is one. Seconds are left out."""

    weights: bytes
    averages: bytes
    losses: list[tuple[int, int, str, dict[str, float | None]]]
    curves: dict[str, list[tuple[int, float | None]]]
    scores: list[tuple[str, str, int, float | None, float | None, str]]
    pictures: dict[str, bytes]

    @classmethod
    def of(cls, store: Store, run_id: str) -> Ending:
        [checkpoint] = store.folder(run_id).glob("checkpoints/step-*")
        return cls(
            weights=(checkpoint / "weights.safetensors").read_bytes(),
            averages=(checkpoint / "ema.safetensors").read_bytes(),
            losses=[(e.epoch, e.step, e.stage, dict(e.losses)) for e in store.epochs(run_id)],
            curves={key: store.series(run_id, key) for key in store.keys(run_id)},
            scores=sorted(
                (s.metric, s.sampler, s.epoch, s.value, s.floor, s.protocol_hash)
                for s in store.scores(run_id)
            ),
            pictures={
                a.path: shown(store.folder(run_id) / a.path) for a in store.artifacts(run_id)
            },
        )


class Started:
    """The run in a process of its own, from the moment that it says its id."""

    def __init__(self, genbench: CommandLine, folder: Path) -> None:
        self._folder, self._log = folder, folder / "stderr.txt"
        with self._log.open("w") as stderr:
            self.process = subprocess.Popen(
                [str(genbench.python), "-m", "genbench", *RUN],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self.wait_for(BEGUN)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, line: re.Pattern[str]) -> None:
        """Return when it has said such a line, or has ended."""
        while not line.search(self.said) and self.process.poll() is None:
            time.sleep(0.002)

    def kill_after(self, seconds: float) -> float | None:
        """Kill it with SIGKILL; None, or the seconds in which it finished before that."""
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            if FINISHED.search(self.said):
                assert self.process.wait(120) == 0, self.said
                return now
            time.sleep(0.002)
        with Store.open(self._folder / "runs.db", mode="read") as store:
            ((pid,),) = store.rows("SELECT pid FROM runs")
        os.kill(pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL, self.said
        return None


@pytest.fixture(scope="module")
def unbroken(
    command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ending, float]:
    """The ending of a run that nothing stopped, and its seconds from its row to its end."""
    folder = tmp_path_factory.mktemp("unbroken")
    run = Started(command_line, folder)
    began = time.monotonic()
    run.wait_for(FINISHED)
    seconds = time.monotonic() - began
    assert run.process.wait(120) == 0, run.said
    with Store.open(folder / "runs.db", mode="read") as store:
        return Ending.of(store, store.resolve("@1")), seconds


def check_killed(genbench: CommandLine, run: Started, folder: Path, expected: Ending) -> str:
    """Resume a run that was killed and compare its ending; in words, what the kill had left."""
    with sqlite3.connect(folder / "runs.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    with Store.open(folder / "runs.db", mode="read") as store:
        [left] = store.runs()
        stored = {e.epoch for e in store.epochs(left.id)}
    reported = {int(epoch) for epoch in EPOCH.findall(run.said)}
    assert reported <= stored
    if left.status is not Status.FINISHED:
        assert left.status is Status.LOST
        resumed = genbench("resume", left.id, "--json", folder=folder)
        assert resumed.code == 0, resumed.err
        assert json.loads(resumed.out)["status"] == "finished"
        again = {int(epoch) for epoch in EPOCH.findall(resumed.err)}
        assert not reported & again, "an epoch that was reported was lost and trained again"
    with Store.open(folder / "runs.db", mode="read") as store:
        assert store.run(left.id).status is Status.FINISHED
        assert Ending.of(store, left.id) == expected
    return f"{left.status}, {len(stored)} epochs stored, {len(reported)} reported"


def check_all(
    count: int, genbench: CommandLine, unbroken: tuple[Ending, float], folder: Path, *, seed: int
) -> None:
    """Kill ``count`` runs, each at a random moment of its own part of a run's length.

    A run that was faster than the measured one, and finished first, is no kill: its length is the
    new measure, and another run is killed in its place.
    """
    expected, length = unbroken
    order = random.Random(seed)
    states: list[str] = []
    for attempt in range(3 * count):
        if len(states) == count:
            break
        home = folder / str(attempt)
        home.mkdir()
        run = Started(genbench, home)
        moment = (len(states) + order.random()) / count * length
        finished_in = run.kill_after(moment)
        if finished_in is None:
            states.append(f"{moment:.2f} s: {check_killed(genbench, run, home, expected)}")
        else:
            length = min(length, finished_in)
    print("\n".join(states))
    assert len(states) == count


def test_a_run_killed_at_a_random_moment_ends_where_an_unbroken_one_ends(
    command_line: CommandLine, unbroken: tuple[Ending, float], tmp_path: Path
) -> None:
    check_all(1, command_line, unbroken, tmp_path, seed=1)


@pytest.mark.slow
def test_a_run_killed_at_any_of_20_moments_ends_where_an_unbroken_one_ends(
    command_line: CommandLine, unbroken: tuple[Ending, float], tmp_path: Path
) -> None:
    check_all(20, command_line, unbroken, tmp_path, seed=2)
