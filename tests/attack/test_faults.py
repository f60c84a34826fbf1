"""A run that is killed, or has a failing disk, at its n-th operation ends as an unbroken one.

The other kills are timed (tests/proofs/test_kill.py); these strike at exact operations: each
open, rename, remove and fsync of a file and each statement on the store has its turn.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_files import shown

from genbench.store import Store

RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--epochs", "3", "--batch-size", "200"),
    *("--set", "data.size=8", "--set", "hidden=[16]", "--set", "z_dim=2", "--ema", "0.9"),
    *("--evaluate-every", "2", "--metric", "fd_pixel", "--metric", "reconstruction", "--json"),
)
EPOCH = re.compile(r"^epoch +(\d+)/", re.MULTILINE)


def ending(folder: Path) -> dict[str, Any]:
    """All of the one run that decides a number, or is one."""
    with Store.open(folder / "runs.db", mode="read") as store:
        [run] = store.runs()
        # An old checkpoint that could not be removed stays: genbench doctor --clean finds it.
        checkpoint = max(store.folder(run.id).glob("checkpoints/step-*"))
        return {
            "status": run.status,
            "weights": (checkpoint / "weights.safetensors").read_bytes(),
            "losses": [(e.epoch, e.step, dict(e.losses)) for e in store.epochs(run.id)],
            "curves": {key: store.series(run.id, key) for key in store.keys(run.id)},
            "summaries": store.summaries(run.id),
            "scores": sorted(
                (s.metric, s.sampler, s.epoch, str(s.value)) for s in store.scores(run.id)
            ),
            "pictures": {
                a.path: shown(store.folder(run.id) / a.path) for a in store.artifacts(run.id)
            },
        }


@pytest.fixture(scope="module")
def counted(genbench: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """How an unbroken run ends, and how many operations it has."""
    folder = tmp_path_factory.mktemp("unbroken")
    answer = genbench(*RUN, folder=folder, fault=("kill", 0))
    assert answer.code == 0, answer.err
    return ending(folder), int(answer.struck)


@pytest.fixture(scope="module")
def unbroken(counted: tuple[dict[str, Any], int]) -> dict[str, Any]:
    return counted[0]


@pytest.fixture(scope="module")
def operations(counted: tuple[dict[str, Any], int]) -> int:
    assert counted[1] > 100
    return counted[1]


def check(genbench: Any, folder: Path, fault: tuple[str, int], unbroken: dict[str, Any]) -> None:
    folder.mkdir()
    answer = genbench(*RUN, folder=folder, fault=fault)
    told = f"{fault} struck at {answer.struck!r}: exit {answer.code}\n{answer.err[-2000:]}"
    if fault[0] == "kill":
        assert answer.code == (-9 if answer.struck else 0), told
    else:
        answer.check()
    if not (folder / "runs.db").exists():
        return
    with sqlite3.connect(folder / "runs.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], told
    database.close()
    listed = genbench("runs", "--json", folder=folder)
    reported = {int(epoch) for epoch in EPOCH.findall(answer.err)}
    if listed.code in (3, 5):  # struck before the run had its row, or while the store was made
        assert not reported, told
        return
    runs = json.loads(listed.out)["runs"]
    with Store.open(folder / "runs.db", mode="read") as store:
        stored = {e.epoch for e in store.epochs(runs[0]["run"])}
    assert reported <= stored, told
    if runs[0]["status"] != "finished":
        resumed = genbench("resume", "@1", folder=folder)
        assert resumed.code == 0, f"{told}\nresume: {resumed.err}"
        again = {int(epoch) for epoch in EPOCH.findall(resumed.err)}
        assert not reported & again, f"a reported epoch was trained again: {told}"
    assert ending(folder) == unbroken, told


@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO"])
def test_a_run_struck_at_some_operations_ends_as_an_unbroken_one(
    kind: str, genbench: Any, unbroken: Any, operations: int, tmp_path: Path
) -> None:
    parts = {"kill": 5, "ENOSPC": 2, "EIO": 2}[kind]
    for part in range(parts):
        at = 1 + (2 * part + 1) * operations // (2 * parts)
        check(genbench, tmp_path / f"{kind}-{at}", (kind, at), unbroken)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["kill", "ENOSPC", "EIO"])
def test_a_run_struck_at_any_operation_ends_as_an_unbroken_one(
    kind: str, genbench: Any, unbroken: Any, operations: int, tmp_path: Path
) -> None:
    for at in range(1, operations + 1):
        check(genbench, tmp_path / f"{kind}-{at}", (kind, at), unbroken)
