"""What a bench says of a step: its parts, its operations, and other ways to execute it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from genbench.engine import Way, bench_stages, matrix_rate

CPU = torch.device("cpu")


def bench(tiny, model, *ways, **changes):
    spec = tiny.spec(**changes)
    found = bench_stages(model, tiny.data(), spec, CPU, rate=1e9, ways=ways, seconds=0.02)
    return {stage.stage: stage for stage in found}


def test_the_operations_of_a_step_are_those_of_its_products(tiny):
    """Linear layers of 16 x 8, 8 x 3 and 3 x 16; data needs no gradient."""
    stage = bench(tiny, tiny.LatentGAN)["autoencoder"]
    forward = 2 * 8 * (16 * 8 + 8 * 3 + 3 * 16)
    assert stage.flops == 2 * forward + 2 * 8 * (8 * 3 + 3 * 16)
    assert stage.limit_ms == pytest.approx(stage.flops / 1e9 * 1e3)


def test_the_operations_of_a_step_are_those_of_all_its_microbatches(tiny):
    whole, split = (bench(tiny, tiny.LatentGAN, accumulate=k)["autoencoder"] for k in (1, 2))
    assert split.flops == whole.flops


def test_repeated_and_lazy_phases_count_as_often_as_they_are_updated(tiny):
    stages = bench(tiny, tiny.LatentGAN)
    assert stages["gan"].images == 16, "its critic uses two batches"
    assert stages["gan"].images_per_s == pytest.approx(16 / stages["gan"].ms * 1e3)
    parts = [part.name for part in stages["gan"].parts]
    phases = [
        f"{phase}: {part}"
        for phase in ("d", "decay", "g")
        for part in ("forward", "backward", "optimizer")
    ]
    assert parts == ["data", *phases, "host and rest"]


def test_time_is_found_where_it_is_spent(tiny):
    class Slow(tiny.LatentGAN):
        def reconstruction(self, batch):
            time.sleep(0.003)
            return super().reconstruction(batch)

    stage = bench(tiny, Slow, accumulate=2)["autoencoder"]
    parts = {part.name: part.ms for part in stage.parts}
    assert parts["ae: forward"] > 6, "each of two microbatches sleeps"
    assert parts["ae: forward"] > 0.5 * stage.ms
    assert sum(parts.values()) >= stage.ms * 0.99


def test_a_way_that_fails_says_why_and_the_others_are_measured(tiny):
    spec = tiny.spec()
    ways = (
        Way(name="wrong", spec=replace(spec, precision="fp8")),
        Way(name="bf16", spec=replace(spec, precision="bf16")),
    )
    found = bench(tiny, tiny.LatentGAN, *ways)["gan"].ways
    assert "unknown precision 'fp8'" in found["wrong"]
    assert found["bf16"] > 0


def test_the_rate_of_a_machine_is_that_of_a_product():
    assert 1e8 < matrix_rate(CPU, "fp32", seconds=0.01) < 1e14
