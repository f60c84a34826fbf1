"""The laws of the Fréchet distance and of the moments it is taken on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from genbench_metrics.frechet import Moments, frechet_distance


def _moments(features: torch.Tensor, chunk: int = 100) -> Moments:
    moments = Moments()
    for batch in features.split(chunk):
        moments.update(batch)
    return moments


def _distance(a: Moments, b: Moments) -> float:
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def _features(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator) / d**0.5
    return torch.relu(torch.randn(n, d, generator=generator) @ mixing + 0.1 * seed)


def test_distance_of_gaussians_with_one_eigenbasis_has_its_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64))
    a, b = (torch.rand(2, 30, generator=generator, dtype=torch.float64) + 0.1).unbind()
    shift = torch.randn(30, generator=generator, dtype=torch.float64)
    found = frechet_distance(
        torch.zeros(30, dtype=torch.float64), basis * a @ basis.T, shift, basis * b @ basis.T
    )
    exact = float(shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    assert found == pytest.approx(exact, rel=1e-10)


def test_distance_of_plane_gaussians_has_its_closed_form() -> None:
    # In two dimensions tr (A B)^(1/2) = sqrt(tr(AB) + 2 sqrt(det(AB))), no common basis needed.
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.7], [-0.7, 3.0]], dtype=torch.float64)
    product = a @ b
    root = math.sqrt(product.trace() + 2 * math.sqrt(product.det()))
    exact = 4 + 1 + float(a.trace() + b.trace()) - 2 * root
    mean = torch.tensor([2.0, -1.0], dtype=torch.float64)
    assert frechet_distance(mean, a, torch.zeros_like(mean), b) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(500, 84), (3000, 256)])
def test_distance_agrees_with_torch_fidelity(n: int, d: int) -> None:
    a, b = _features(n, d, 1), _features(n, d, 2)
    theirs = fid_statistics_to_metric(
        fid_features_to_statistics(a), fid_features_to_statistics(b), verbose=False
    )[KEY_METRIC_FID]
    assert _distance(_moments(a), _moments(b)) == pytest.approx(theirs, rel=1e-5)


def test_distance_of_singular_covariances_is_exact() -> None:
    # Rank 20 in 84 dimensions, as where there are fewer samples than features.
    generator = torch.Generator().manual_seed(3)
    spread = torch.randn(84, 20, generator=generator, dtype=torch.float64)
    cov, mean = spread @ spread.T, torch.zeros(84, dtype=torch.float64)
    exact = float(cov.trace()) * (1 - 2) ** 2
    assert frechet_distance(mean, cov, mean, 4 * cov) == pytest.approx(exact, rel=1e-6)


def test_distance_is_symmetric_and_zero_only_for_equal_moments() -> None:
    a, b = _moments(_features(400, 50, 1)), _moments(_features(400, 50, 2))
    assert _distance(a, b) == pytest.approx(_distance(b, a), rel=1e-9)
    assert _distance(a, b) > 0.1
    assert _distance(a, a) == pytest.approx(0, abs=1e-9)


def test_distance_of_moments_with_nan_is_nan_and_no_crash() -> None:
    sound = _moments(_features(100, 5, 1))
    assert math.isnan(_distance(_moments(torch.full((100, 5), torch.nan)), sound))
    assert math.isnan(_distance(_moments(torch.ones(1, 5)), sound))


@pytest.mark.parametrize("chunk", [1, 7, 100, 1000])
def test_moments_do_not_depend_on_the_portions(chunk: int) -> None:
    features = _features(1000, 12, 1)
    moments = _moments(features, chunk)
    assert moments.n == 1000
    exact = features.double().numpy()
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(exact, rowvar=False), rtol=1e-9)


def test_moments_keep_a_small_spread_on_a_large_mean() -> None:
    # E[xx'] - mu mu' would have no correct digit left here.
    small = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = _moments(small * 1e-2 + 1e7)
    expected = np.cov((small * 1e-2).numpy(), rowvar=False)
    np.testing.assert_allclose(moments.covariance, expected, rtol=1e-4, atol=1e-8)
