"""Law: a checkpoint is whole or not there at all, and a damaged one is refused by its name."""

from __future__ import annotations

import errno
import json
import os
import resource
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genbench.engine import drop_checkpoints, drop_training_state, has_checkpoint, load_weights
from genbench.engine.checkpoint import Snapshot, latest_checkpoint, write_checkpoint
from genbench.engine.restoring import read_checkpoint
from genbench.errors import CheckpointError, DiskFullError

CPU = torch.device("cpu")


def snapshot(step=1, epoch=0, fill=1.0, **changes):
    fields = {
        "position": {"step": step, "epoch": epoch},
        "weights": {"f.weight": torch.full((2, 3), fill), "f.bias": torch.zeros(2)},
        "state": {"sums": {"a": 1.5}, "generator": torch.arange(4)},
    }
    return Snapshot(**{**fields, **changes})


def model():
    return SimpleNamespace(nets=nn.ModuleDict({"f": nn.Linear(3, 2)}))


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_what_is_written_is_read_and_only_the_last_stays(tmp_path):
    assert not has_checkpoint(tmp_path)
    write_checkpoint(tmp_path, snapshot(1))
    (tmp_path / "checkpoints" / ".writing-step-000000007-epoch-0000").mkdir()
    path = write_checkpoint(tmp_path, snapshot(20, 2, ema={"f.bias": torch.ones(2)}))
    assert names(tmp_path) == [path.name] == ["step-000000020-epoch-0002"]
    found = read_checkpoint(tmp_path)
    assert found.position == {"step": 20, "epoch": 2}
    assert torch.equal(found.weights["f.weight"], torch.ones(2, 3))
    assert torch.equal(found.ema["f.bias"], torch.ones(2))
    assert found.state["sums"] == {"a": 1.5}
    assert torch.equal(found.state["generator"], torch.arange(4))


def test_dropped_checkpoints_leave_nothing_and_can_be_dropped_again(tmp_path):
    drop_checkpoints(tmp_path)
    write_checkpoint(tmp_path, snapshot())
    (tmp_path / "error.txt").touch()
    drop_checkpoints(tmp_path)
    assert not has_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["error.txt"]
    write_checkpoint(tmp_path, snapshot(2))
    assert has_checkpoint(tmp_path)


def test_checkpoint_of_the_same_position_takes_the_place_of_the_first(tmp_path):
    for fill in (1.0, 2.0, 3.0):
        write_checkpoint(tmp_path, snapshot(fill=fill))
        assert read_checkpoint(tmp_path).weights["f.weight"].mean() == fill
    assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("file", ["weights.safetensors", "ema.safetensors", "state.pt"])
def test_file_cut_short_or_with_one_bit_flipped_is_refused_by_its_name(tmp_path, file):
    path = write_checkpoint(tmp_path, snapshot(ema={"f.bias": torch.ones(2)})) / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match=rf"{file} is truncated.*genbench rerun"):
        read_checkpoint(tmp_path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(CheckpointError, match=rf"{file} was changed"):
        read_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"{file} can't be read"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("what", "instead"),
    [('"epoch": 2', '"epoch": 3'), ('"sha256": "', '"sha266": "'), ('"files"', '"fileS"')],
)
def test_manifest_with_another_number_or_key_is_refused_by_its_name(tmp_path, what, instead):
    path = write_checkpoint(tmp_path, snapshot(20, 2)) / "manifest.json"
    assert what in path.read_text()
    path.write_text(path.read_text().replace(what, instead, 1))
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing or damaged"):
        read_checkpoint(tmp_path)


def test_manifest_of_an_older_genbench_without_a_digest_is_read_if_it_has_its_form(tmp_path):
    path = write_checkpoint(tmp_path, snapshot(20, 2)) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest))
    assert read_checkpoint(tmp_path).position == {"step": 20, "epoch": 2}
    del manifest["files"]["state.pt"]["sha256"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing or damaged"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}'])
def test_damaged_manifest_is_refused_by_its_name(tmp_path, text):
    path = write_checkpoint(tmp_path, snapshot())
    (path / "manifest.json").write_text(text)
    with pytest.raises(
        CheckpointError, match=r"manifest\.json is missing or damaged.*genbench rerun"
    ):
        load_weights(model(), tmp_path, CPU)


def test_newer_format_is_refused_as_newer(tmp_path):
    path = write_checkpoint(tmp_path, snapshot()) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match="newer genbench"):
        read_checkpoint(tmp_path)


def test_nothing_is_unpickled_that_could_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    write_checkpoint(tmp_path, snapshot(state={"evil": Evil()}))
    with pytest.raises(CheckpointError, match=r"state\.pt can't be read"):
        read_checkpoint(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path):
    write_checkpoint(tmp_path, snapshot(weights={"f.weight": torch.ones(9, 9)}))
    with pytest.raises(CheckpointError, match="don't fit the model"):
        load_weights(model(), tmp_path, CPU)


def test_missing_checkpoint_is_a_clear_error(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_weights(model(), tmp_path, CPU)


def test_averages_are_what_a_stored_run_is_evaluated_with(tmp_path):
    write_checkpoint(tmp_path, snapshot(ema={"f.weight": torch.full((2, 3), 7.0)}))
    stored = model()
    load_weights(stored, tmp_path, CPU)
    assert torch.equal(stored.nets["f"].weight, torch.full((2, 3), 7.0))
    assert torch.equal(stored.nets["f"].bias, torch.zeros(2))


def test_finished_run_keeps_its_weights_only(tmp_path):
    drop_training_state(tmp_path)
    path = write_checkpoint(tmp_path, snapshot())
    for _ in range(2):
        drop_training_state(tmp_path)
        assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "weights.safetensors"]
    load_weights(model(), tmp_path, CPU)
    with pytest.raises(CheckpointError, match="weights only: the run is finished"):
        read_checkpoint(tmp_path)


def test_tied_weights_are_written_and_read(tmp_path):
    net = nn.Linear(3, 2)
    tied = SimpleNamespace(nets=nn.ModuleDict({"f": net, "g": net}))
    write_checkpoint(tmp_path, snapshot(weights=tied.nets.state_dict()))
    before = net.weight.detach().clone()
    nn.init.zeros_(net.weight)
    load_weights(tied, tmp_path, CPU)
    assert torch.equal(net.weight, before)


@pytest.fixture
def small_files():
    """Files of this process may have 2,000 bytes: the kernel refuses more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_last_is_kept(folder):
    assert names(folder) == ["step-000000001-epoch-0000"]
    assert read_checkpoint(folder).position["step"] == 1
    assert latest_checkpoint(folder).name == "step-000000001-epoch-0000"


def test_full_disk_keeps_the_last_checkpoint_and_leaves_no_rest(tmp_path, request):
    write_checkpoint(tmp_path, snapshot(1))
    big = snapshot(2, weights={"f.weight": torch.ones(100, 100)})
    request.getfixturevalue("small_files")
    with pytest.raises(DiskFullError, match=str(tmp_path)):
        write_checkpoint(tmp_path, big)
    assert_last_is_kept(tmp_path)


@pytest.mark.parametrize("call", range(1, 7))
def test_disk_that_fills_at_any_flush_keeps_the_last_checkpoint(tmp_path, monkeypatch, call):
    write_checkpoint(tmp_path, snapshot(1))
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    ema = {"f.bias": torch.ones(2)}
    if call == 6:  # the rename is done: the new one is there, whole
        with pytest.raises(DiskFullError):
            write_checkpoint(tmp_path, snapshot(2, ema=ema))
        assert read_checkpoint(tmp_path).position["step"] == 2
        return
    with pytest.raises(DiskFullError):
        write_checkpoint(tmp_path, snapshot(2, ema=ema))
    assert_last_is_kept(tmp_path)


def test_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder belongs")
    with pytest.raises(CheckpointError, match="can't write a checkpoint in"):
        write_checkpoint(tmp_path, snapshot())
