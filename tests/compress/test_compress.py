"""A compressed run is a run like any other, with the run that it compresses as its parent."""

from __future__ import annotations

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file

from genbench.errors import InterruptedRunError, UsageError
from genbench.events import EpochDone
from genbench.runner import evaluate_run, resume, sample_run
from genbench.spec import Part, RunSpec

ONCE = "finetune=false"


def weights(bench, run):
    return bench.load(run).model.nets.state_dict()


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_nothing_removed_is_bitwise_the_parent(bench, dcgan, granularity):
    made = bench.compress(dcgan, "prune", "ratio=0", ONCE, f"granularity={granularity}")
    assert same(weights(bench, made), weights(bench, dcgan))


@pytest.fixture(scope="module")
def half(bench, dcgan):
    return bench.compress(dcgan, "prune", "ratio=0.5", epochs=2)


def test_a_compressed_run_has_its_parent_and_its_method_in_its_spec(bench, dcgan, half):
    spec = RunSpec.from_json(half.spec)
    assert half.parents == spec.parents == (dcgan.id,)
    assert [part.name for part in spec.compressors] == ["prune"]
    assert half.id in bench.store.children(dcgan.id)
    assert (spec.model, spec.dataset, spec.seed) == ("dcgan", "digits", dcgan.seed)


def test_half_of_the_channels_leave_half_of_the_generators_weights(bench, dcgan, half):
    before, after = weights(bench, dcgan), weights(bench, half)
    assert before["generator.1.weight"].shape == (16, 16, 7, 7)
    assert after["generator.1.weight"].shape == (16, 8, 7, 7)
    assert after["discriminator.0.weight"].shape == before["discriminator.0.weight"].shape


def test_a_compressed_run_is_loaded_without_its_parent(bench, half, tmp_path):
    folder = bench.store.folder(half.parents[0])
    kept = tmp_path / "kept"
    shutil.move(folder, kept)
    try:
        out = sample_run(
            half.id,
            registry=bench.registry,
            store=bench.store,
            access=bench.access,
            out=tmp_path / "grid.png",
            n=4,
            device="cpu",
        )
        assert out.exists()
    finally:
        shutil.move(kept, folder)


def test_a_stored_model_is_tensors_in_their_shapes_and_no_pickle(bench, half, monkeypatch):
    [checkpoint] = bench.store.folder(half.id).glob("checkpoints/*")
    assert {path.name for path in checkpoint.iterdir()} == {"manifest.json", "weights.safetensors"}

    def refused(*_, **__):
        raise AssertionError("a pickle is read")

    for owner, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(owner, name, refused)
    monkeypatch.setattr(pickle, "Unpickler", refused)
    stored = load_file(checkpoint / "weights.safetensors")
    assert stored["generator.1.weight"].shape == (16, 8, 7, 7)
    assert same(weights(bench, half), stored)


def test_a_run_that_was_compressed_is_not_deleted_alone(bench, dcgan, half, genbench):
    said = genbench("rm", dcgan.id, "--yes", "--store", str(bench.folder / "runs.db"))
    assert said.code == 2
    assert f"{half.id} (dcgan on digits)" in said.err
    assert f"{dcgan.id} can't be deleted without " in said.err
    assert "latent" not in said.err
    with pytest.raises(UsageError, match=rf"needed by what was made from it: .*{half.id}"):
        bench.store.delete(dcgan.id)


def test_a_compressed_run_is_evaluated_and_compressed_again(bench, half):
    [evaluated] = evaluate_run(
        half.id,
        registry=bench.registry,
        store=bench.store,
        access=bench.access,
        metrics=[Part(name="fd_pixel")],
        n=100,
        device="cpu",
    )
    assert [score.metric for score in evaluated.scores] == ["fd_pixel"]
    again = bench.compress(half, "prune", "ratio=0.5", ONCE)
    assert weights(bench, again)["generator.1.weight"].shape == (16, 4, 7, 7)
    assert [part.name for part in RunSpec.from_json(again.spec).compressors] == ["prune", "prune"]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_compressed_run_is_resumed_bitwise(bench, dcgan, granularity):
    sets = ("ratio=0.6", "per_round=0.4", f"granularity={granularity}")
    spec = bench.planned(dcgan, "prune", *sets, epochs=2)
    whole = bench.run(spec)
    for last in (1,):
        done: list[EpochDone] = []

        def count(event, done=done):
            if isinstance(event, EpochDone):
                done.append(event)

        with pytest.raises(InterruptedRunError):
            bench.run(
                spec,
                listeners=[count],
                should_stop=lambda done=done, last=last: len(done) >= last,
            )
        [open_run] = [r for r in bench.store.runs() if r.status == "interrupted"]
        ended = resume(open_run.id, registry=bench.registry, store=bench.store, access=bench.access)
        assert same(weights(bench, ended), weights(bench, whole))


def test_weights_that_were_removed_stay_zero_in_the_fine_tuning(bench, vae):
    made = bench.compress(vae, "prune", "ratio=0.75", "granularity=weight")
    decoder = [
        w for n, w in weights(bench, made).items() if n.startswith("decoder") and w.dim() > 1
    ]
    for weight in decoder:
        assert (weight == 0).float().mean() == pytest.approx(0.75, abs=1e-3)
    assert not same(weights(bench, made), weights(bench, vae))


METHODS = {
    "lottery": ("ratio=0.6", "per_round=0.4", "rewind=early"),
    "evolve": ("population=4", "generations=2", "samples=8"),
}


@pytest.mark.parametrize("method", METHODS)
def test_these_methods_end_in_a_run_that_is_stored_and_loaded(bench, dcgan, method):
    made = bench.compress(dcgan, method, *METHODS[method])
    assert made.status == "finished"
    assert not same(weights(bench, made), weights(bench, dcgan))
