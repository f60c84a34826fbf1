"""Law: whoever reads while a run trains gets a whole checkpoint, and only one of its own run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genbench.engine import RunIdentity, checkpoint_position, load_weights
from genbench.engine.checkpoint import Snapshot, drop_training_state, write_checkpoint
from genbench.engine.restoring import read_checkpoint
from genbench.errors import CheckpointError, DivergedError

CPU = torch.device("cpu")
MINE = RunIdentity(run="aaaaaaaaaa", digest="1111")


def model():
    return SimpleNamespace(nets=nn.ModuleDict({"f": nn.Linear(3, 2)}))


def snapshot(step, identity=MINE):
    fill = torch.full((2, 3), float(step))
    return Snapshot(
        position={"step": step, "epoch": step},
        weights={"f.weight": fill, "f.bias": torch.zeros(2)},
        state={"step": step},
        identity=identity,
    )


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_restoring import snapshot, write_checkpoint
write_checkpoint(Path(sys.argv[1]), snapshot(1))
print("ready", flush=True)
step = 1
while True:
    step += 1
    write_checkpoint(Path(sys.argv[1]), snapshot(step))
"""


def test_a_reader_in_a_loop_always_finds_a_whole_checkpoint_while_another_process_writes(tmp_path):
    here = os.path.dirname(__file__)  # noqa: PTH120
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "ready\n"
        seen, until = [], time.monotonic() + 1.5
        while time.monotonic() < until:
            loaded = model()
            position = load_weights(loaded, tmp_path, CPU, MINE)
            assert loaded.nets["f"].weight.mean() == position["step"]
            found = read_checkpoint(tmp_path, MINE)
            assert found.weights["f.weight"].mean() == found.position["step"] == found.state["step"]
            seen.append(found.position["step"])
    finally:
        writer.kill()
        writer.communicate()
    assert seen == sorted(seen)
    assert len(set(seen)) > 10, "the writer hardly moved: nothing was proven"


def test_a_checkpoint_that_goes_between_two_files_is_left_for_the_newer_one(tmp_path, monkeypatch):
    import genbench.engine.restoring as restoring

    first = write_checkpoint(tmp_path, snapshot(1))
    read = restoring.read_manifest

    def rotated(path):
        manifest = read(path)
        if path == first:
            write_checkpoint(tmp_path, snapshot(2))
        return manifest

    monkeypatch.setattr(restoring, "read_manifest", rotated)
    assert read_checkpoint(tmp_path, MINE).position["step"] == 2


def test_a_file_that_is_gone_for_good_ends_the_search(tmp_path):
    path = write_checkpoint(tmp_path, snapshot(1))
    (path / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing or damaged"):
        read_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing or damaged"):
        drop_training_state(tmp_path)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (RunIdentity(run="bbbbbbbbbb", digest="1111"), "of run bbbbbbbbbb, not of run aaaaaaaaaa"),
        (RunIdentity(run="aaaaaaaaaa", digest="2222"), "other settings than those of run aaaaa"),
    ],
)
def test_another_runs_checkpoint_is_refused(tmp_path, written, words):
    write_checkpoint(tmp_path, snapshot(1, written))
    for read in (read_checkpoint, checkpoint_position):
        with pytest.raises(CheckpointError, match=words):
            read(tmp_path, MINE)
    with pytest.raises(CheckpointError, match=words):
        load_weights(model(), tmp_path, CPU, MINE)
    assert read_checkpoint(tmp_path).position["step"] == 1  # nobody asked which run it belongs to


def test_a_checkpoint_of_before_runs_were_named_is_anybodys(tmp_path):
    write_checkpoint(tmp_path, snapshot(3, None))
    assert checkpoint_position(tmp_path, MINE) == {"step": 3, "epoch": 3}


def test_a_finished_runs_weights_still_name_their_run(tmp_path):
    path = write_checkpoint(tmp_path, snapshot(3))
    drop_training_state(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["run"], manifest["digest"]) == (MINE.run, MINE.digest)


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_divergence_tells_of_a_kept_checkpoint_only_where_there_is_one(tiny, tmp_path, epochs):
    spoiled = 6 * epochs + 2  # 6 steps an epoch

    class Diverging(tiny.LatentGAN):
        def reconstruction(self, batch):
            terms = super().reconstruction(batch)
            bad = float("nan") if self.nets.training and batch.step >= spoiled else 1.0
            return {"ae": {name: bad * term for name, term in terms["ae"].items()}}

    with pytest.raises(DivergedError) as caught:
        tiny.run(Diverging, tiny.spec(), tmp_path)
    assert ("the last good checkpoint is kept" in str(caught.value)) == bool(epochs)
    assert any((tmp_path / "checkpoints").glob("step-*")) == bool(epochs)
    shutil.rmtree(tmp_path)
