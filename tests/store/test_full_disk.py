"""On a real file system that is full: runs are read and removed, and one of them makes room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from genbench.errors import DiskFullError
from genbench.store import Recorder, Store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, where mounting is permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, name: str = "fill") -> None:
    """Leave not a byte."""
    with (disk / name).open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    assert shutil.disk_usage(disk).free == 0


def made(disk, make, count):
    with Store.open(disk / "runs.db", mode="create") as store:
        runs = [
            store.create_run(make.spec(seed=seed), stages=make.stages, environment={})
            for seed in range(count)
        ]
        for run in runs:
            Recorder(store, run.id).finish()
    return [run.id for run in runs]


def genbench(disk, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "genbench", *arguments], cwd=disk, capture_output=True, text=True
    )


@pytest.mark.parametrize("empty_log", [False, True])
def test_a_full_disk_is_read(small_disk, make, empty_log):
    ids = made(small_disk, make, 2)
    if empty_log:
        (small_disk / "runs.db-wal").touch()
    fill(small_disk)
    for _ in range(2):  # the first leaves an empty log, where there is none
        with Store.open(small_disk / "runs.db", mode="read") as store:
            assert {run.id for run in store.runs()} == set(ids)
    for command in (["runs"], ["show", "@1"], ["query", "SELECT count(*) FROM runs"]):
        done = genbench(small_disk, *command)
        assert (done.returncode, done.stderr) == (0, "")


def test_runs_are_removed_from_a_full_disk_again_and_again(small_disk, make):
    ids = made(small_disk, make, 3)
    for left in (2, 1):
        fill(small_disk, f"fill-{left}")
        with Store.open(small_disk / "runs.db") as store:
            store.delete(ids[left])
        assert (small_disk / "runs" / ".reserve").stat().st_size > 0
        with Store.open(small_disk / "runs.db", mode="read") as store:
            assert [run.id for run in store.runs()] == ids[:left][::-1]
            assert store.query("PRAGMA integrity_check")[1] == [("ok",)]
    fill(small_disk, "fill-0")
    done = genbench(small_disk, "rm", "@1", "--yes")
    assert done.returncode == 0, done.stderr


def test_without_its_reserve_a_full_disk_says_how_much_is_needed(small_disk, make):
    (run_id,) = made(small_disk, make, 1)
    (small_disk / "runs" / ".reserve").unlink()
    fill(small_disk)
    with Store.open(small_disk / "runs.db") as store:
        with pytest.raises(DiskFullError, match=r"its row is not\. Free about 300 KB"):
            store.delete(run_id)
        (small_disk / "fill").unlink()
        store.delete(run_id)
        assert store.runs() == []
