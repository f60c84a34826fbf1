"""Law: doctor lists what nobody needs, removes it when asked, and touches nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genbench.contracts import DataAccess
from genbench.doctor import leftovers
from genbench.spec import RunSpec
from genbench.store import Recorder, Store

SPEC = RunSpec(model="gan", dataset="digits", epochs=1, batch_size=1)


@pytest.fixture
def access(tmp_path):
    for name in ("cache", "data"):
        (tmp_path / name).mkdir()
    return DataAccess(root=tmp_path / "data", cache=tmp_path / "cache", offline=True)


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "runs.db")


def made(url, *, status="finished", files=()):
    """A run with such files in its folder; its id."""
    with Store.open(url, mode="create") as store:
        run = store.create_run(SPEC, stages=[("s", 1)], environment={})
        for name in files:
            path = store.folder(run.id) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        if status == "finished":
            Recorder(store, run.id).finish()
        elif status != "running":
            getattr(store, status)(run.id)
    return run.id


def contents(folder):
    return {
        str(path.relative_to(folder))
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.startswith("runs.db")
    }


def make_old(path):
    for file in (path, *path.rglob("*")):
        os.utime(file, (time.time() - 7200,) * 2)


STEP_1, STEP_2 = "checkpoints/step-000000001-epoch-0001", "checkpoints/step-000000002-epoch-0002"
NEEDED = (f"{STEP_2}/weights.safetensors", f"{STEP_2}/manifest.json", "samples.png", "error.txt")
UNNEEDED = (
    f"{STEP_1}/weights.safetensors",
    "checkpoints/.writing-step-000000003-epoch-0003/state.pt",
    ".samples.png.part",
)


@pytest.mark.parametrize("status", ["interrupt", "finished"])
def test_what_a_run_left_goes_and_what_it_needs_stays(url, access, status):
    run_id = made(url, status=status, files=(*NEEDED, *UNNEEDED))
    folder = Path(url).parent / "runs" / run_id
    before = contents(folder)
    found = leftovers.find(url, access)
    assert contents(folder) == before, "looking changed something"
    assert len(found) == 3
    assert sum(left.bytes for left in found) == sum(map(len, UNNEEDED))
    assert len(leftovers.clean(url, access)) == 3
    assert contents(folder) == set(NEEDED)
    assert leftovers.find(url, access) == []


def test_nothing_of_a_run_that_is_alive_is_touched(url, access):
    run_id = made(url, status="running", files=(*NEEDED, *UNNEEDED, f"{STEP_2}/state.pt"))
    before = contents(Path(url).parent)
    assert leftovers.clean(url, access) == []
    assert contents(Path(url).parent) == before
    assert run_id


def test_a_folder_without_its_run_goes_and_what_is_not_ours_stays(url, access, tmp_path):
    kept = made(url, files=NEEDED)
    runs = tmp_path / "runs"
    for name in ("0123456789", ".removing-0123456780", "notes", "0123456789abcdef", "keep.txt"):
        (runs / name / "checkpoints").mkdir(parents=True)
        (runs / name / "a").write_text("a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (runs / "abcdefabcd").symlink_to(elsewhere)
    removed = {left.path.name for left in leftovers.clean(url, access)}
    assert removed == {"0123456789", ".removing-0123456780"}
    assert {path.name for path in runs.iterdir()} == {
        *(kept, ".reserve", "notes", "0123456789abcdef", "keep.txt", "abcdefabcd")
    }


def test_the_runs_of_another_store_in_the_folder_are_not_left_over(url, access, tmp_path):
    made(url)
    theirs = made(str(tmp_path / "other.db"), status="interrupt", files=(*NEEDED, *UNNEEDED))
    before = contents(tmp_path / "runs" / theirs)
    assert leftovers.clean(url, access) == []
    assert contents(tmp_path / "runs" / theirs) == before
    orphan = tmp_path / "runs" / "0123456789"
    orphan.mkdir()
    header = (tmp_path / "other.db").read_bytes()[:100]
    (tmp_path / "damaged.db").write_bytes(header + b"\0" * 50)  # its runs can't be asked for
    assert leftovers.clean(url, access) == []
    (tmp_path / "damaged.db").unlink()
    assert [left.path for left in leftovers.clean(url, access)] == [orphan]


def test_the_runs_of_a_database_server_are_not_left_over_by_a_file(url, access, tmp_path):
    made(url)
    folder = tmp_path / "runs" / "0123456789"
    folder.mkdir()
    (folder / ".store").write_text("postgresql://me@host/db")
    assert leftovers.find(url, access) == []


def test_unfinished_downloads_go_once_nobody_writes_to_them(url, access):
    new, old = access.cache / "mnist.part", access.root / "MNIST" / ".raw.gz.4711.part"
    deep = access.cache / "digits-abc.part"
    for folder in (new, deep, old.parent):
        folder.mkdir()
    (deep / "train-x.npy.part").write_text("xx")
    old.write_text("gz")
    (access.root / "MNIST" / "raw.gz").write_text("whole")
    make_old(old)
    make_old(deep)
    assert {left.path for left in leftovers.clean(url, access)} == {old, deep}
    assert new.is_dir()
    assert (access.root / "MNIST" / "raw.gz").is_file()


def test_a_backup_goes_only_when_the_store_has_all_its_runs(url, access, tmp_path):
    made(url)
    shutil.copy(url, f"{url}.backup-v1")
    shutil.copy(url, f"{url}.backup-v2-2")
    gone = made(url)
    shutil.copy(url, f"{url}.backup-v2")
    with Store.open(url) as store:
        store.delete(gone)
    removed = {left.path.name for left in leftovers.clean(url, access)}
    assert removed == {"runs.db.backup-v1", "runs.db.backup-v2-2"}
    assert (tmp_path / "runs.db.backup-v2").is_file()


def test_no_store_or_none_that_can_be_read_has_no_leftovers(access, tmp_path):
    (tmp_path / "runs" / "0123456789").mkdir(parents=True)
    assert leftovers.find(str(tmp_path / "runs.db"), access) == []
    (tmp_path / "runs.db").write_text("no database")
    assert leftovers.find(str(tmp_path / "runs.db"), access) == []
    assert leftovers.find(":memory:", access) == []


# --- rm


KILLED = """
import os, pathlib, shutil, signal, sys
from genbench.store import Store

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

store = Store.open(sys.argv[1])
if sys.argv[3] == "renamed":
    rename = pathlib.Path.rename
    pathlib.Path.rename = lambda self, to: (rename(self, to), kill())
else:
    shutil.rmtree = kill
store.delete(sys.argv[2])
"""


@pytest.mark.parametrize("moment", ["renamed", "committed"])
def test_a_removal_that_is_killed_leaves_the_run_or_a_leftover_and_nothing_half(
    url, access, moment, tmp_path
):
    run_id = made(url, files=NEEDED)
    command = [sys.executable, "-c", KILLED, url, run_id, moment]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    folder = tmp_path / "runs" / run_id
    assert not folder.exists()
    [left] = leftovers.clean(url, access)
    assert left.path.name == f".removing-{run_id}"
    with Store.open(url) as store:
        if moment == "renamed":
            assert store.run(run_id).id == run_id
            assert contents(folder) == set(NEEDED)
            store.delete(run_id)
        assert store.runs() == []
    assert not folder.exists()
    assert leftovers.find(url, access) == []


def test_a_removal_that_is_refused_leaves_the_folder_where_it_was(url, access, tmp_path):
    run_id = made(url, status="running", files=NEEDED)
    with Store.open(url) as store, pytest.raises(Exception, match="still running"):
        store.delete(run_id)
    assert contents(tmp_path / "runs" / run_id) == set(NEEDED)


def test_a_run_is_not_stored_if_its_folder_cannot_be_made(url, tmp_path):
    (tmp_path / "runs").write_text("a file where a folder belongs")
    with Store.open(url, mode="create") as store:
        with pytest.raises(Exception, match="can't be used"):
            store.create_run(SPEC, stages=[("s", 1)], environment={})
        assert store.runs() == []
