"""The laws of exact densities: known in closed form, whatever the data's scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, PluginError, Split, UsageError, dequantized, to_float
from genbench_metrics.exact_density import BitsPerDim
from genbench_metrics.nll import Nll


class UniformModel:
    """Uniform on [-1, 1]^D: it knows nothing."""

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert float(x.abs().max()) <= 1
        return torch.full((len(x),), -math.log(2) * x[0].numel())


class Gaussian:
    """A product of normals of mean ``mean`` and deviation ``std`` in each value."""

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        self.mean, self.std = mean, std

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        z = ((x - self.mean) / self.std).flatten(1)
        return (-0.5 * (z.square() + math.log(2 * math.pi)) - math.log(self.std)).sum(1)


def taken(metric: Any, context: Any) -> Any:
    metric.begin(context)
    [score] = metric.result()
    return score


def points(n: int = 500) -> Data:
    x = np.random.default_rng(0).normal(1.0, 2.0, (n, 2)).astype(np.float32)
    split = Split(x=x, y=None, digest="points")
    return Data(spec=DataSpec(name="points", shape=(2,)), train=split, test=split)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 10)])
def test_a_model_that_knows_nothing_has_eight_bits(context, shape) -> None:
    score = taken(BitsPerDim(), context(model=UniformModel(), shape=shape))
    assert score.value == pytest.approx(8, abs=1e-6)
    assert (score.unit, score.direction, score.n) == ("bits", "min", 120)


def test_images_of_uniform_levels_have_the_bits_of_a_normal_in_closed_form(context) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (400, 1, 16, 16), dtype=np.uint8)
    split = Split(x=levels, y=None, digest="uniform")
    score = taken(BitsPerDim(), context(model=Gaussian(), train=split, test=split))
    # E -log2 N(x; 0, 1) of x uniform in [-1, 1] (its variance is 1/3); 7 bits of scale.
    expected = (0.5 / 3 + 0.5 * math.log(2 * math.pi)) / math.log(2) + 7
    assert score.value == pytest.approx(expected, abs=0.005)


def test_nll_and_bits_are_one_number_in_two_units(context) -> None:
    model = Gaussian(-0.5, 0.7)
    nll, bits = taken(Nll(), context(model=model)), taken(BitsPerDim(), context(model=model))
    dims = 16 * 16
    assert bits.value == pytest.approx(nll.value / dims / math.log(2) + 7)
    assert nll.unit == "nats"


def test_points_have_their_nll_in_closed_form_and_no_bits(context) -> None:
    data = points()
    score = taken(Nll(), context(model=Gaussian(1.0, 2.0), data=data))
    z = (data.test.x.astype(np.float64) - 1) / 2
    expected = (0.5 * (z**2).sum(1) + math.log(2 * math.pi) + 2 * math.log(2)).mean()
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert score.protocol["dequantization"] is None
    with pytest.raises(UsageError, match="'points' doesn't have; use nll"):
        BitsPerDim().begin(context(model=Gaussian(), data=data))


def test_the_noise_is_the_same_whatever_the_seed_and_the_portions(context) -> None:
    one = taken(BitsPerDim(), context(model=Gaussian(), seed=1, batch_size=7))
    other = taken(BitsPerDim(), context(model=Gaussian(), seed=2, batch_size=50))
    assert one == other


def test_the_exact_nll_is_ranked_with_no_bound(context) -> None:
    score = taken(Nll(), context(model=Gaussian()))
    assert score.protocol["measure"] == "exact density"
    assert "k" not in score.protocol


def test_a_density_of_another_shape_is_refused(context) -> None:
    class PerPixel:
        def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return -x.square()

    with pytest.raises(PluginError, match="expected \\(100,\\), the log-density of each"):
        taken(BitsPerDim(), context(model=PerPixel()))


def test_dequantized_levels_fill_the_range_and_round_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(200, 1)
    x = dequantized(to_float(levels), torch.Generator().manual_seed(0))
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    assert torch.equal(((x + 1) * 128).floor().clamp_max(255).to(torch.uint8), levels)
    assert float(x.mean()) == pytest.approx(0, abs=0.01)
