"""Every model, kind of data, sampler and metric on a CUDA device: train, resume, score, sample."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from kinds_of_data import ADAPTED, KINDS, fitting

from genbench.registry import Registry
from genbench.runner import sample_run
from genbench.store.records import Status

pytestmark = pytest.mark.cuda
REGISTRY = Registry.from_environment()
SIZES = {"dcgan": "data.size=28"}


@pytest.mark.parametrize(("name", "kind"), fitting())
def test_every_model_trains_resumes_scores_and_samples(
    bench: Any, datasets: Any, name: str, kind: str, tmp_path: Path
) -> None:
    told = ADAPTED.get(name, {}) if kind != "images" else {}
    sets = [f"{key}={value}" for key, value in told.items()]
    if kind == "images":
        sets.append(SIZES.get(name, "data.size=8"))
    run_id = bench.interrupted(bench.plan(name, datasets(kind), *sets))
    done = bench.resume(run_id)
    assert done.status is Status.FINISHED
    epochs = bench.store.epochs(run_id)
    assert all(epoch.train_s > 0 and epoch.peak_mem > 0 for epoch in epochs)
    losses = [value for epoch in epochs for value in epoch.losses.values()]
    assert losses, "no loss is stored"
    assert all(value is not None and math.isfinite(value) for value in losses)
    if bench.store.scores(run_id):  # a model that only translates has no samples
        [record] = bench.evaluate(run_id, n=32)
        assert not record.skipped
        options = {"registry": bench.registry, "store": bench.store, "access": bench.access}
        out = sample_run(run_id, out=tmp_path / "x.npz", n=4, device=bench.device, **options)
        assert out.stat().st_size > 0


def test_each_kind_of_data_is_trained_on() -> None:
    assert {kind for _, kind in fitting()} == {*KINDS}


@pytest.mark.parametrize("model", ["gan", "cgan"])
@pytest.mark.parametrize("sampler", [part.name for part in REGISTRY.of("sampler")])
def test_every_sampler_draws_what_it_draws_on_the_cpu(
    bench: Any, trained: Any, sampler: str, model: str
) -> None:
    part = bench.part("sampler", sampler, steps=8, burn_in=64, calibration_samples=200, eps=0.01)
    run_id = trained(model)
    found = []
    for device in ("cpu", bench.device):
        [record] = bench.evaluate(run_id, samplers=[part], n=64, device=device)
        assert not record.skipped
        found.append(record.scores[0].value)
    assert found[1] == pytest.approx(found[0], rel=0.1), "one sample may be accepted by rounding"


METRICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("modes", "high_quality", "mode_kl", "mode_std"), ("gan", "gaussians-8")),
    **dict.fromkeys(("nll", "elbo"), ("vae", "digits", "likelihood=gaussian")),
    "label_accuracy": ("cgan", "digits"),
    "translation": ("stargan", "digits"),
}
"""The run on which a metric is tried, if not a vae of digits."""


@pytest.mark.parametrize("name", [part.name for part in REGISTRY.of("metric")])
def test_every_metric_finds_what_it_finds_on_the_cpu(bench: Any, trained: Any, name: str) -> None:
    if name == "bits_per_dim":
        pytest.skip("no built-in model has an exact density; the device law checks this metric")
    model, dataset, *sets = METRICS.get(name, ("vae", "digits"))
    run_id = trained(model, *sets, dataset=dataset)
    extractor = "classifier" if name == "is" else "pixels"
    part = bench.part("metric", name, extractor=extractor, k=5, n=64)
    found = []
    for device in ("cpu", bench.device):
        records = bench.evaluate(run_id, metrics=[part], n=64, device=device)
        skipped = [reason for record in records for reason in record.skipped.values()]
        if skipped:
            pytest.skip(skipped[0])
        found.append([score.value for record in records for score in record.scores])
    assert found[0], f"{name} gave no score"
    if name != "samples_per_second":
        assert found[1] == pytest.approx(found[0], rel=0.02, abs=0.02)


@pytest.mark.parametrize("model", ["vaegan", "vae", "gan"])
@pytest.mark.parametrize("first", ["device", "cpu"])
def test_a_run_is_resumed_on_the_other_device(bench: Any, model: str, first: str) -> None:
    began, ends = (bench.device, "cpu") if first == "device" else ("cpu", bench.device)
    spec = bench.plan(model, "digits", "data.size=8", device=began)
    run_id = bench.interrupted(spec)
    assert bench.resume(run_id, device=ends).status is Status.FINISHED
    assert len(bench.store.epochs(run_id)) >= 2


def test_peak_memory_is_that_of_the_device(bench: Any, trained: Any, on_cuda: Any) -> None:
    peaks = [epoch.peak_mem for epoch in bench.store.epochs(trained("vae"))]
    whole = torch.cuda.get_device_properties(on_cuda).total_memory
    assert all(2**20 < peak < whole // 2 for peak in peaks)


def genbench(*words: str, folder: Path) -> Any:
    """A command in a process of its own; what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "genbench", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


@pytest.mark.parametrize("dataset", ["digits", "mnist"])
def test_the_commands_of_a_vaegan_work_on_the_device(
    device: torch.device, dataset: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    on = ["--device", device.type]
    if dataset == "mnist":
        on += ["--data-dir", str(request.getfixturevalue("real_data"))]
    sets = ("--set", "vae_epochs=1", "--epoch-images", "500", "--samples", "200")
    words = ("run", "vaegan", dataset, "--epochs", "1", *sets, "--metric", "fd_pixel")
    made = genbench(*words, *on, "--json", folder=tmp_path)
    assert made["status"] == "finished"
    shown = genbench("show", made["run"], "--json", folder=tmp_path)
    assert all(epoch["train_s"] > 0 for epoch in shown["epochs"])
    genbench("evaluate", "@1", "--metric", "spread", *on, folder=tmp_path)
    for command in ("sample", "interpolate"):
        out = tmp_path / f"{command}.png"
        genbench(command, "@1", "--out", str(out), *on, folder=tmp_path)
        assert out.stat().st_size > 0


@pytest.mark.parametrize("model", ["vae", "gan", "wgan-gp"])
def test_a_run_on_two_gpus_has_the_losses_of_one(bench: Any, on_cuda: Any, model: str) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("this needs two CUDA devices")
    found = []
    for device in ("cuda:0", "cuda:0,1"):
        done = bench.train(bench.plan(model, "digits", "data.size=8", device=device))
        found.append([epoch.losses for epoch in bench.store.epochs(done.id)])
    assert bench.store.environment(done.id)["devices"] == ["cuda:0", "cuda:1"]
    for one, two in zip(*found, strict=True):
        for key, value in one.items():
            if not key.startswith("monitor/"):
                assert two[key] == pytest.approx(value, rel=2e-2, abs=1e-3), key
