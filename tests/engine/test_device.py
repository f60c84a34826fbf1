"""Laws of devices, precision, generators and modes."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from genbench.engine import autocast, derive_seed, evaluation, resolve_device, seed_everything
from genbench.errors import DeviceError, SettingError

CPU = torch.device("cpu")


def test_auto_is_a_device_that_is_there():
    torch.ones(1, device=resolve_device("auto"))
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize(
    "name", ["cuda:99", "mps" if not torch.backends.mps.is_available() else "cuda"]
)
def test_device_that_is_not_there_is_refused_with_what_there_is(name):
    with pytest.raises(DeviceError, match=r"here; this PyTorch .* sees: cpu.*Use --device cpu or"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "", "mps:0"])
def test_unknown_device_is_refused_with_the_names_there_are(name):
    with pytest.raises(DeviceError, match="use auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_unknown_precision_is_refused():
    with pytest.raises(SettingError, match="unknown precision 'fp8'; use fp32 or bf16"):
        autocast(CPU, "fp8")


def draws():
    return torch.rand(1).item(), np.random.rand(), random.random()


def test_a_seed_decides_all_generators():
    seed_everything(3)
    first = draws()
    seed_everything(3)
    assert draws() == first


def test_derived_seeds_differ_by_purpose_and_fit_a_generator():
    purposes = [("order", 0, 1), ("order", 1, 0), ("validate", 1), ("prepare", 1)]
    seeds = {derive_seed(seed, *purpose) for seed in range(3) for purpose in purposes}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_evaluation_restores_modes_and_generators_even_after_an_error():
    nets = nn.ModuleDict({"a": nn.Dropout(), "b": nn.Sequential(nn.Dropout(), nn.Linear(1, 1))})
    nets["b"].eval()
    modes = [module.training for module in nets.modules()]
    seed_everything(0)
    expected = draws()
    seed_everything(0)

    def evaluate():
        with evaluation(SimpleNamespace(nets=nets), CPU):
            assert not any(module.training for module in nets.modules())
            raise ZeroDivisionError(draws())

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert [module.training for module in nets.modules()] == modes
    assert draws() == expected


def test_bf16_run_trains_and_reports_fp32_sums(tiny, tmp_path):
    model = tiny.run(tiny.LatentGAN, tiny.spec(precision="bf16", epochs=1), tmp_path).model
    assert {p.dtype for p in model.nets.parameters()} == {torch.float32}
