"""Built-in models, several seeds of which are trained together: each is as it is alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench.contracts import Data
from genbench.engine import GroupedRun, train, train_together, try_together
from genbench.engine.restoring import read_checkpoint
from genbench.events import never
from genbench.registry import Registry
from genbench.runner import data_access
from genbench.runner.build_parts import build_model, completed, load_data
from genbench.spec import RunSpec

CPU = torch.device("cpu")
SEEDS = (3, 4)
NETS = {"g_hidden": [8], "d_hidden": [8]}
PLAIN = {**NETS, "g_norm": "identity"}
"""Without BatchNorm, before which a bias has a gradient of 0 but for rounding: Adam would turn that
into steps of its full rate."""
MODELS: dict[str, dict[str, Any]] = {
    "gan": PLAIN,
    "cgan": PLAIN,
    "wgan": PLAIN,
    "wgan-gp": PLAIN,
    "vae": {"hidden": [8], "z_dim": 2},
    "vaegan": {**NETS, "vae_hidden": [8], "vae_epochs": 4},
    "began": {"g_hidden": [8], "d_hidden": [8], "code": 4},
}
"""Between them: Adam, RMSprop, clipped weights, a penalty on gradients (differentiated twice),
labels, two stages, a schedule, and a buffer that ``after`` moves."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment()


@pytest.fixture(scope="module")
def digits(registry: Registry, clean_environment: None) -> Data:
    spec = spec_of("vae", {})
    return load_data(spec, registry, data_access(None, os.environ, offline=True))


def spec_of(model: str, settings: dict[str, Any]) -> RunSpec:
    """50 steps: 10 epochs of 5."""
    return RunSpec(
        model=model,
        model_settings=settings,
        dataset="digits",
        dataset_settings={"size": 8},
        device="cpu",
        epochs=10,
        batch_size=240,
    )


def specs_of(model: str, data: Data, registry: Registry) -> list[RunSpec]:
    whole = completed(spec_of(model, MODELS[model]), data.spec, registry)
    return [replace(whole, seed=seed) for seed in SEEDS]


def train_both_ways(
    model: str, data: Data, registry: Registry, folder: Path, device: torch.device
) -> list[tuple[Any, Any]]:
    """The last checkpoints of each seed, trained together and alone."""
    specs = specs_of(model, data, registry)
    for spec in specs:
        train(
            build_model(spec, data.spec, registry),
            data,
            spec,
            device=device,
            folder=folder / f"alone-{spec.seed}",
            emit=lambda event: None,
        )

    def failed(error: Exception) -> None:
        raise error

    runs = [
        GroupedRun(
            model=build_model(spec, data.spec, registry),
            spec=spec,
            folder=folder / f"together-{spec.seed}",
            emit=lambda event: None,
            failed=failed,
        )
        for spec in specs
    ]
    train_together(runs, data, device=device, should_stop=never)
    return [
        (
            read_checkpoint(folder / f"together-{seed}").weights,
            read_checkpoint(folder / f"alone-{seed}").weights,
        )
        for seed in SEEDS
    ]


def before_batch_norm(name: str) -> bool:
    """Whether this is a bias before a BatchNorm of began's generator, or the mean that takes it."""
    return name in ("generator.0.bias", "generator.1.running_mean")


@pytest.mark.parametrize("model", MODELS)
def test_50_steps_of_a_seed_end_where_they_end_alone_with_the_same_noise(
    model: str, digits: Data, registry: Registry, tmp_path: Path, shared_noise: None
) -> None:
    for together, alone in train_both_ways(model, digits, registry, tmp_path, CPU):
        for name, expected in alone.items():
            if model == "began" and before_batch_norm(name):
                continue
            torch.testing.assert_close(
                together[name], expected, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("sngan", "phase 'd': it uses an operation that torch.func.vmap doesn't know"),
        ("vq-vae", "changes a tensor in place that isn't a parameter or buffer"),
    ],
)
def test_a_model_that_can_not_be_stacked_says_why(
    model: str, reason: str, digits: Data, registry: Registry
) -> None:
    whole = completed(spec_of(model, {}), digits.spec, registry)
    specs = [replace(whole, seed=seed) for seed in SEEDS]
    models = [build_model(spec, digits.spec, registry) for spec in specs]
    assert reason in try_together(models, digits, specs, CPU).refusal


@pytest.mark.cuda
@pytest.mark.parametrize("model", MODELS)
def test_on_a_gpu_a_seed_ends_where_it_ends_alone_with_the_same_noise(
    model: str, digits: Data, registry: Registry, tmp_path: Path, shared_noise: None
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda:0")
    for together, alone in train_both_ways(model, digits, registry, tmp_path, device):
        for name, expected in alone.items():
            torch.testing.assert_close(
                together[name], expected, rtol=1e-2, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.cuda
@pytest.mark.parametrize("model", ["gan", "vae", "vaegan"])
def test_on_a_gpu_32_seeds_together_take_at_most_4_times_as_long_as_one(
    model: str, digits: Data, registry: Registry
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    whole = completed(spec_of(model, {}), digits.spec, registry)
    specs = [replace(whole, batch_size=100, seed=seed) for seed in range(32)]
    models = [build_model(spec, digits.spec, registry) for spec in specs]
    found = try_together(models, digits, specs, torch.device("cuda:0"))
    assert found.refusal == ""
    assert found.ratio is not None
    assert 32 * found.ratio <= 4
