"""Files of runs at a shared address: any machine finds them, and continues from its checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from genbench.engine import has_checkpoint
from genbench.errors import DiskFullError, StoreError, UsageError
from genbench.events import Checkpointed
from genbench.files.remote import INDEX, RemoteFolders
from genbench.store import Recorder, Status, Store
from genbench.store.copying import copy_store, move_files
from genbench.store.enqueuing import enqueue
from genbench.store.tasks import NewTask

KINDS = ("sqlite",)
RUN = (
    *("run", "vae", "digits", "--device", "cpu", "--batch-size", "240", "--metric", "none"),
    *("--set", "data.size=8", "--set", "hidden=[16]", "--no-watch", "--epochs"),
)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def put(folder: Path, **files: bytes) -> None:
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture(params=["file", "dir"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A shared folder, used directly, and the same as a file system of fsspec, with copies."""
    (tmp_path / "shared").mkdir()
    return {"file": "file://", "dir": "dir::file://"}[request.param] + f"{tmp_path}/shared"


# --- folders at an address


@pytest.fixture
def remote(tmp_path: Path) -> RemoteFolders:
    pytest.importorskip("fsspec")
    return RemoteFolders(f"memory://{tmp_path.name}")


def test_a_fetched_folder_is_equal_to_the_uploaded_one_and_nothing_else_is_left(remote, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    put(one, a=b"1", checkpoints__step__w=b"22")
    put(other, old=b"x", checkpoints__before__w=b"y", a=b"2")
    remote.upload("r", one)()
    assert remote.fetch("r", other)
    assert contents(other) == contents(one)
    assert not remote.fetch("nothing", other)
    assert contents(other) == contents(one)
    remote.remove("r")
    assert remote.index("r") == {}


def test_an_upload_that_is_not_committed_changes_nothing(remote, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    put(one, a=b"1", b=b"2")
    remote.upload("r", one)()
    before = contents(one)
    put(one, a=b"changed", new=b"3")
    commit = remote.upload("r", one)  # and then the process is killed
    remote.fetch("r", other)
    assert contents(other) == before
    commit()
    remote.fetch("r", other)
    assert contents(other) == contents(one)


def test_a_file_that_changed_on_its_way_is_refused(remote, tmp_path):
    put(tmp_path / "one", a=b"1")
    remote.upload("r", tmp_path / "one")()
    fs, root = remote._connected
    fs.pipe_file(f"{root}/r/a", b"x")
    with pytest.raises(StoreError, match="SHA-256 is not that of the index"):
        remote.fetch("r", tmp_path / "other")
    assert contents(tmp_path / "other") == {}


@pytest.mark.parametrize("path", ["../a", "/a", "b/../../a", ""])
def test_no_index_leads_out_of_the_folder(remote, tmp_path, path):
    fs, root = remote._connected
    entry = {"at": "a", "bytes": 1, "sha256": "0"}
    fs.pipe_file(f"{root}/r/{INDEX}", json.dumps({"files": {path: entry}}).encode())
    with pytest.raises(StoreError, match="not an index"):
        remote.fetch("r", tmp_path / "folder")


# --- runs


def test_what_one_machine_has_uploaded_another_one_finds(address, make, tmp_path, monkeypatch):
    """Two working folders are two machines: the database is what they share."""
    with Store.open(tmp_path / "runs.db", mode="create", files=address) as store:
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        make.fill(store, run)
        picture = "samples/epoch-3.png"
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    with Store.open(tmp_path / "runs.db", mode="read") as again:
        assert again.file(run.id, picture).read_bytes() == b"a picture"
        assert again.fetch(run.id) == again.folder(run.id)
    with Store.open(tmp_path / "runs.db") as again:
        again.delete(run.id)
    assert contents(tmp_path / "shared") == {}


def test_a_process_that_lost_its_run_uploads_nothing_more(make, tmp_path):
    address = f"dir::file://{tmp_path}/shared"
    (tmp_path / "shared").mkdir()
    with Store.open(tmp_path / "runs.db", mode="create", files=address) as store:
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        put(store.folder(run.id), checkpoints__step=b"late")
        with Recorder(store, run.id) as recorder, store.transaction() as connection:
            connection.exec_driver_sql("UPDATE runs SET pid = pid + 1")
            connection.commit()
            with pytest.raises(StoreError, match="taken over"):
                recorder(Checkpointed(step=1, epoch=1, path=Path("x")))
        index = json.loads(next((tmp_path / "shared").rglob(INDEX)).read_text())
        assert "checkpoints/step" not in index["files"]


def test_files_that_can_not_be_uploaded_end_the_run_in_a_sentence(make, tmp_path, monkeypatch):
    address = f"dir::file://{tmp_path}/shared"
    (tmp_path / "shared").mkdir()
    with Store.open(tmp_path / "runs.db", mode="create", files=address) as store:
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        put(store.folder(run.id), a=b"1")
        fs, _ = store.files.remote._connected

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(fs, "put_file", full)
        with (
            Recorder(store, run.id) as recorder,
            pytest.raises(DiskFullError, match="no space is left for files at dir::file:"),
        ):
            recorder(Checkpointed(step=1, epoch=1, path=Path("x")))
        assert store.run(run.id).checkpoint_step is None


def test_files_are_moved_to_an_address_and_a_copy_of_the_store_finds_them(make, address, tmp_path):
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        run = store.create_run(make.spec(), stages=make.stages, environment={})
        make.fill(store, run)
        with (
            pytest.raises(UsageError, match="store files"),
            Store.open(tmp_path / "runs.db", files=address) as other,
        ):
            other.create_run(make.spec(seed=2), stages=make.stages, environment={})
        assert move_files(store, address) == [run.id]
        shutil.rmtree(tmp_path / "runs")
        (tmp_path / "moved").mkdir()
        with Store.open(tmp_path / "moved" / "runs.db", mode="create") as copy:
            assert copy_store(store, copy).folders == []
            assert copy.file(run.id, "samples/epoch-3.png").read_bytes() == b"a picture"


def test_what_is_enqueued_with_an_address_tells_the_workers_where_the_files_are(address, tmp_path):
    with Store.open(tmp_path / "runs.db", mode="create", files=address) as store:
        enqueue(store, [NewTask(batch="b", identity="a", title="a", command=("run",))])
    with Store.open(tmp_path / "runs.db", mode="read", files="") as worker:
        assert worker.files.address == address


# --- the command line


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Path, Path]:
    """Two working folders: what a command writes without being told where is in one of them."""
    found = tmp_path / "one", tmp_path / "two"
    for folder in found:
        folder.mkdir()
    return found


def test_a_run_that_was_killed_is_resumed_on_another_machine(
    machines, address, command_line, tmp_path
):
    """The store lies apart; one machine's folder is deleted before the other one continues."""
    one, two = machines
    for folder in machines:  # each machine sees the store under a path of its own
        (folder / "genbench.toml").write_text(f'files = "{address}"\n')
    words = (*RUN, "40", "--store", str(tmp_path / "runs.db"))
    pid = command_line.start(*words, folder=one, log=tmp_path / "log")
    saved = None
    deadline = time.monotonic() + 60
    while not saved:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        with suppress(StoreError), Store.open(tmp_path / "runs.db", mode="read") as store:
            saved = next((run.checkpoint_step for run in store.runs()), None)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    shutil.rmtree(one)
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        [run] = store.runs()
        assert run.status is not Status.FINISHED
    said = command_line("resume", run.id, "--store", str(tmp_path / "runs.db"), folder=two)
    assert said.code == 0, said.err
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.run(run.id).status is Status.FINISHED
        assert has_checkpoint(store.fetch(run.id))


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("s4://bucket/bench", 5, "not an address for files"),
        ("file:///no/such/folder", 5, "doesn't exist here"),
        ("ftp://me:secret@host/bench", 2, "can't have a password"),
        ("dir::file:///proc/nothing/here", 5, "can't be"),
    ],
)
def test_a_wrong_address_is_one_sentence_and_no_run_is_left(
    genbench, tmp_path, address, code, words
):
    said = genbench(*RUN, "1", "--files", address)
    assert (said.code, "secret" in said.err) == (code, False), said.err
    errors = [line for line in said.err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert words in errors[0]
    if (tmp_path / "runs.db").exists():
        with Store.open(tmp_path / "runs.db", mode="read") as store:
            assert store.runs() == []


def test_a_protocol_without_its_package_says_what_to_install(monkeypatch, tmp_path):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(StoreError, match="s3fs"):
        RemoteFolders("s3://bucket/bench").index("r")
