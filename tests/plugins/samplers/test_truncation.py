"""The truncation trick."""

from __future__ import annotations

import math

import pytest
import torch

from genbench_samplers.sampler_settings import TruncationSettings
from genbench_samplers.truncation import Truncation


def test_a_normal_prior_is_cut_off_and_keeps_its_shape_within(oracle, drawn) -> None:
    cut = 0.8
    sampler = Truncation(TruncationSettings(threshold=cut))
    z = drawn(sampler, oracle("Gaussians"), 40_000).squeeze(1)
    assert float(z.abs().max()) <= cut
    inside = math.erf(cut / math.sqrt(2))
    assert sampler.diagnostics()["acceptance"] == pytest.approx(inside, abs=0.01)
    for edge in (-0.6, -0.2, 0.1, 0.5):
        below = (math.erf(edge / math.sqrt(2)) / inside + 1) / 2
        assert float((z < edge).double().mean()) == pytest.approx(below, abs=0.01)


def test_a_uniform_prior_is_scaled(oracle, drawn) -> None:
    model = oracle("Uniform")
    model.generate = lambda z, y=None: z
    z = drawn(Truncation(TruncationSettings(threshold=0.5)), model, 20_000)
    assert float(z.abs().max()) <= 0.5
    assert float(z.std()) == pytest.approx(0.5 / math.sqrt(3), abs=0.005)


def test_a_threshold_beyond_all_latents_is_plain_sampling(oracle, drawn) -> None:
    z = drawn(Truncation(TruncationSettings(threshold=50)), oracle("Gaussians"), 100, seed=2)
    plain = oracle("Gaussians").prior(100, torch.Generator().manual_seed(2))
    assert torch.equal(z, plain)
