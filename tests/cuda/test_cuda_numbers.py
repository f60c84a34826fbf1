"""Numbers and waiting on a CUDA device: the losses are those of the CPU, and no step waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kinds_of_data import ADAPTED, KINDS, chosen, fitting
from same_noise import SameNoise

from genbench.contracts import Batch
from genbench.engine import seed_everything, train
from genbench.engine.ema import EMA
from genbench.engine.feed import Samples
from genbench.engine.optim import build_optimizers
from genbench.engine.planned_stages import planned_stages
from genbench.engine.stage import Iterations, ready
from genbench.errors import OutOfMemoryError
from genbench.events import StepsDone
from genbench.spec import RunSpec
from genbench.testing import small_data

pytestmark = pytest.mark.cuda
CPU = torch.device("cpu")
STEPS = 50
TOLERANCE = 1e-3
"""The tolerance of a loss at equal weights: float32 has 24 bits, and sums have up to 10^4 terms."""
LATER_TOLERANCE = 2e-2
"""That of the losses of later steps, relative to the largest: one ReLU on the other side of its
edge changed the loss of `cae` by 4e-3."""
GRADIENT_TOLERANCE = 1e-2
"""That of a phase's gradient by its norm; a ReLU near its edge may be on either side."""
SHORT = {"vae_epochs": 3, "components": 3, "fit_samples": 200, "prior_epochs": 2}
"""Settings by which all stages of a model are within the first steps."""


def data_of(name: str, kind: str) -> Any:
    return small_data((1, 28, 28)) if name == "dcgan" else KINDS[kind]


def built(
    name: str, kind: str, rounding: float = 0.0, settings: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """Data, and a model of it with the weights of seed 0.

    ``rounding`` changes all weights by so much of themselves, as another order of sums would.
    """
    data, told = data_of(name, kind), ADAPTED.get(name, {}) if kind != "images" else {}
    fields = type(chosen(name, **told).settings).model_fields
    short = {key: value for key, value in SHORT.items() if key in fields}
    part = chosen(name, **told, **short, **(settings or {}))
    seed_everything(0)
    model = part.cls(part.settings, data.spec)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.nets.parameters():
            weight.mul_(1 + rounding * torch.randn(weight.shape, generator=generator))
    return data, model


def losses(
    name: str,
    kind: str,
    device: torch.device,
    folder: Path,
    *,
    rounding: float = 0.0,
    **run: Any,
) -> dict[str, dict[int, float]]:
    """Train from the weights of `built`; each loss by step, for `STEPS` steps."""
    data, model = built(name, kind, rounding)
    found: dict[str, dict[int, float]] = {}

    def listen(event: Any) -> None:
        if isinstance(event, StepsDone):
            for key, points in event.series.items():
                found.setdefault(key, {}).update(points)

    batches = max(1, len(data.train.x) // 8)
    options = {"capture": False, "epochs": -(-STEPS // batches), "batch_size": 8, "log_every": 1}
    spec = RunSpec(model=name, dataset=kind, **{**options, **run})
    train(model, data, spec, device=device, folder=folder, emit=listen)
    first = {k: {s: v for s, v in p.items() if s <= STEPS} for k, p in found.items()}
    return {key: points for key, points in first.items() if points}  # a later stage has none


def distance(a: Any, b: Any) -> float:
    """The largest difference of a loss, in units of that loss's largest value."""
    assert a.keys() == b.keys()
    apart = [0.0]
    for key in a.keys() - {key for key in a if key.startswith("monitor/")}:
        assert a[key].keys() == b[key].keys()
        one, other = (np.array(list(x[key].values())) for x in (a, b))
        apart.append(float(np.abs(one - other).max() / (np.abs(one).max() + 1e-6)))
    return max(apart)


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN computes convolutions in TF32 by default, with 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize(("name", "kind"), fitting())
def test_the_first_fifty_losses_are_those_of_the_cpu(
    device: torch.device, name: str, kind: str, tmp_path: Path
) -> None:
    """Two devices sum in other orders. Adam's first steps are signs of gradients, so a rounding
    error may grow to a visible one: the CPU itself, from weights that are rounded otherwise, is
    the measure. What that leaves open, the next test closes.
    """
    with SameNoise():
        expected = losses(name, kind, CPU, tmp_path / "cpu")
        spread = max(
            distance(expected, losses(name, kind, CPU, tmp_path / f"{r}", rounding=r))
            for r in (3e-7, 1e-6)
        )
        # On the CPU, other roundings stand for the other device.
        rounding = 0.0 if device.type == "cuda" else 1e-7
        found = losses(name, kind, device, tmp_path / "device", rounding=rounding)
    assert expected, "no loss was read"
    assert distance(expected, found) <= max(LATER_TOLERANCE, 30 * spread)


@pytest.mark.parametrize(("name", "kind"), fitting())
def test_every_phase_has_the_losses_and_the_gradients_of_the_cpu(
    device: torch.device, name: str, kind: str
) -> None:
    """At the same weights, for the same batch and noise; relative to the largest gradient."""
    rounding = 0.0 if device.type == "cuda" else 1e-7
    with SameNoise():
        expected, found = gradients(name, kind, CPU), gradients(name, kind, device, rounding)
    assert expected.keys() == found.keys()
    for key, (value, gradient) in expected.items():
        torch.testing.assert_close(found[key][0], value, rtol=TOLERANCE, atol=1e-5)
        apart = (found[key][1] - gradient).norm() / (gradient.norm() + 1e-6)
        assert float(apart) <= GRADIENT_TOLERANCE, f"{key}: {float(apart):.2g}"


def gradients(
    name: str, kind: str, device: torch.device, rounding: float = 0.0
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The sum of the losses of each optimizer and phase with its gradient, flat, on the CPU."""
    data, model = built(name, kind, rounding)
    model.nets.to(device)
    spec = RunSpec(model=name, dataset=kind, epochs=1, batch_size=8)
    optimizers = build_optimizers(model, clip_norm=None)
    samples = Samples.of(data.train, device)
    found = {}
    for index, stage in enumerate(planned_stages(model)):
        if index:  # a fit to the samples of another rounding may be another one
            break
        run = ready(index, stage, model, optimizers, samples, spec, device, EMA(model, None), None)
        run.feed.start(0)
        for phase in stage.phases:
            x, y = run.feed.draw(0)[0]
            terms = phase.loss(Batch(x=x, y=y))
            for owner in phase.updates:
                total = torch.stack(list(terms[owner].values())).sum()
                weights = optimizers[owner].parameters
                made = torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True)
                flat = torch.cat([g.flatten() for g in made if g is not None]).cpu()
                found[f"{stage.name}/{phase.name}/{owner}"] = (total.detach().cpu(), flat)
    return found


# --- steps ---------------------------------------------------------------------------------------


@pytest.fixture
def steps_never_wait(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration of the engine for which the host waits raises an error of CUDA."""
    iterate = Iterations.iterate

    def watched(run: Iterations, *at: int) -> None:
        if run.feed._samples.device.type != "cuda":
            return iterate(run, *at)
        torch.cuda.set_sync_debug_mode("error")
        try:
            iterate(run, *at)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Iterations, "iterate", watched)


@pytest.mark.parametrize(("name", "kind"), fitting())
def test_no_step_waits_for_the_device(
    device: torch.device, steps_never_wait: None, name: str, kind: str, tmp_path: Path
) -> None:
    assert losses(name, kind, device, tmp_path, epochs=1, ema=0.9, clip_norm=1.0, log_every=8)


def test_rows_of_a_memory_map_are_copied_without_waiting(
    device: torch.device,
    steps_never_wait: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = losses("cgan", "images", device, tmp_path / "a", epochs=2)
    monkeypatch.setattr("genbench.engine.feed._fits", lambda x, device: False)
    assert distance(expected, losses("cgan", "images", device, tmp_path / "b", epochs=2)) <= 1e-3


@pytest.mark.parametrize("name", ["gan", "vae", "vaegan", "wgan-gp"])
def test_captured_steps_have_the_losses_of_ordinary_ones(
    on_cuda: torch.device, name: str, tmp_path: Path
) -> None:
    eager = losses(name, "images", on_cuda, tmp_path / "eager")
    captured = losses(name, "images", on_cuda, tmp_path / "captured", capture=True)
    assert distance(eager, captured) <= 1e-2


@pytest.mark.parametrize("name", ["gan", "vae", "vq-vae"])
def test_bf16_trains(device: torch.device, name: str, tmp_path: Path) -> None:
    found = losses(name, "images", device, tmp_path, epochs=1, precision="bf16")
    assert all(np.isfinite(list(points.values())).all() for points in found.values())


def test_too_large_a_batch_is_told_in_a_sentence(on_cuda: torch.device, tmp_path: Path) -> None:
    data, model = built("vae", "images", settings={"hidden": (4096, 4096)})
    rows = np.repeat(data.train.x, 20_000 // len(data.train.x) + 1, 0)
    split = replace(data.train, x=rows, y=None)
    whole = torch.cuda.get_device_properties(on_cuda).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 600 * 2**20 / whole))
    spec = RunSpec(model="vae", dataset="d", epochs=1, batch_size=20_000)
    few = replace(data, train=split, spec=replace(data.spec, train=len(rows), classes=None))
    try:
        with pytest.raises(OutOfMemoryError, match=r"out of memory on cuda .* --batch-size"):
            train(model, few, spec, device=on_cuda, folder=tmp_path, emit=lambda event: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
