"""The laws of triangles: a known distance, and scores with a truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from genbench import Data, DataAccess, MetricContext, UsageError
from genbench.testing import check_metric, small_data
from genbench_toy.manifold_metrics import Manifold
from genbench_toy.toy_settings import ManifoldSettings, TrianglesSettings
from genbench_toy.triangles import Triangles, bounds, drawn, nearest


@pytest.fixture(scope="module")
def triangles(tmp_path_factory) -> Data:
    folder = tmp_path_factory.mktemp("triangles")
    access = DataAccess(root=folder, cache=folder, offline=True)
    return Triangles(TrianglesSettings(size=28, train=100, test=900, seed=0)).load(access)


@pytest.fixture
def scored(triangles, tmp_path):
    def scores(images):
        metric = Manifold(ManifoldSettings(n=900))
        metric.begin(
            MetricContext(
                data=triangles,
                model=None,
                device=torch.device("cpu"),
                cache=tmp_path,
                n=len(images),
            )
        )
        for part in torch.split(images, 250):
            metric.update(part)
        return {score.metric: score for score in metric.result()}

    return scores


def test_every_image_is_on_the_manifold_but_for_its_rounding_to_bytes(triangles):
    images = torch.tensor(triangles.test.x[:, 0]).float() / 255
    assert float(nearest(images).distances.max()) < 1e-3
    assert 0.05 < float(images.mean()) < 0.3


def test_the_nearest_triangle_of_a_noisy_one_is_found_again():
    low, high = bounds(28)
    torch.manual_seed(0)
    parameters = low + torch.rand(200, 4) * (high - low)
    noise = 0.02 * torch.randn(200, 28, 28)
    found = nearest(drawn(parameters, 28) + noise)
    apart = (found.parameters - parameters).abs()
    third = 2 * math.pi / 3
    turned = torch.minimum(apart[:, 3], third - apart[:, 3])
    assert float(apart[:, :3].max()) < 0.1
    assert float(turned.max()) < 0.03
    # Noise is outside of the manifold but for 4 of 784 directions.
    expected = noise.square().mean((1, 2)).sqrt()
    ratio = found.distances / expected
    assert 0.97 < float(ratio.min()) < 1
    assert float(ratio.max()) < 1.01


def test_a_triangle_has_the_area_and_centre_of_its_parameters():
    [image] = drawn(torch.tensor([[14.0, 13.0, 9.0, 0.4]]), 28)
    places = torch.arange(28) + 0.5
    assert float(image.sum()) == pytest.approx(3 * math.sqrt(3) / 4 * 81, rel=0.01)
    assert float((image.sum(0) * places).sum() / image.sum()) == pytest.approx(14, abs=0.02)
    assert float((image.sum(1) * places).sum() / image.sum()) == pytest.approx(13, abs=0.02)


def test_real_triangles_have_full_precision_and_recall_and_no_distance(scored, triangles):
    found = scored(torch.tensor(triangles.test.x))
    assert found["manifold_precision"].value == 1
    assert found["manifold_recall"].value > 0.98
    assert found["manifold_distance"].value < 1e-3
    assert found["manifold_precision"].floor == 1


def test_recall_is_the_share_of_the_manifold_that_is_left(scored):
    low, high = bounds(28)
    torch.manual_seed(1)
    share = torch.rand(900, 4)
    share[:, 2] /= 3  # the small third of the radii
    images = drawn(low + share * (high - low), 28)[:, None].mul(255).round().byte()
    found = scored(images)
    assert found["manifold_precision"].value == 1
    assert found["manifold_recall"].value == pytest.approx(1 / 3, abs=0.02)


def test_blurred_triangles_and_circles_are_not_precise(scored, triangles):
    real = torch.tensor(triangles.test.x[:100]).float()
    blurred = torch.nn.functional.avg_pool2d(real, 5, 1, 2).round().byte()
    y, x = np.mgrid[:28, :28] - 13.5
    circle = torch.tensor(np.clip(8.5 - np.hypot(x, y), 0, 1) * 255).byte()
    for images in (blurred, circle.expand(100, 1, 28, 28)):
        found = scored(images)
        assert found["manifold_precision"].value == 0
        assert found["manifold_recall"].value == 0
        assert found["manifold_distance"].value > 0.05


def test_manifold_keeps_the_contract_and_refuses_other_images(triangles, scored):
    few = replace(triangles, test=replace(triangles.test, x=triangles.test.x[:60]))
    check_metric("manifold", data=few)
    with pytest.raises(UsageError, match="are not triangles; use precision and recall"):
        Manifold().begin(
            MetricContext(
                data=small_data(), model=None, device=torch.device("cpu"), cache=None, n=5
            )
        )
