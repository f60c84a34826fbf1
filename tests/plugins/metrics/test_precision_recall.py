"""The laws of precision, recall, density and coverage: the numbers of the packages they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, Metric, Split, UsageError
from genbench.testing import check_metric
from genbench_metrics import neighbours
from genbench_metrics.density_coverage import Coverage, Density
from genbench_metrics.feature_settings import DensityCoverageSettings, PrecisionRecallSettings
from genbench_metrics.neighbours import careful_distances, radii, smallest, squared_distances
from genbench_metrics.precision_recall import Precision, Recall, largest_square, share_inside

ALL: dict[str, type[Any]] = {
    "precision": Precision,
    "recall": Recall,
    "density": Density,
    "coverage": Coverage,
}


def test_precision_and_recall_are_torch_fidelitys_on_the_same_images_and_classifier(
    context: Any, digits: Data, smeared: Tensor, fidelity: Any, take: Any, lenet_of_digits: str
) -> None:
    made = context(data=replace(digits, test=digits.train), n=1100)
    theirs = fidelity(
        smeared, torch.tensor(digits.train.x), prc=True, feature_extractor=lenet_of_digits
    )
    precision, recall = take(Precision(), made, smeared), take(Recall(), made, smeared)
    assert precision.value == pytest.approx(theirs["precision"], rel=1e-5)
    assert recall.value == pytest.approx(theirs["recall"], rel=1e-5)
    assert 0.1 < precision.value < 0.9
    assert precision.direction == recall.direction == "max"
    assert precision.protocol["nearest_k"] == 3


@pytest.mark.parametrize("k", [5, 3])
def test_density_and_coverage_are_those_of_prdc(
    context: Any, digits: Data, smeared: Tensor, take: Any, k: int
) -> None:
    prdc = pytest.importorskip("prdc", reason="the reference: pip install prdc")
    made = context(data=replace(digits, test=digits.train), n=1100)
    pixels = (digits.train.x, smeared.numpy())
    real, fake = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in pixels)
    theirs = prdc.compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    settings = DensityCoverageSettings(extractor="pixels", nearest_k=k)
    density, coverage = (take(kind(settings), made, smeared) for kind in (Density, Coverage))
    assert density.value == pytest.approx(theirs["density"], rel=1e-6)
    assert coverage.value == pytest.approx(theirs["coverage"], rel=1e-6)
    assert 0.05 < coverage.value < 0.95


def test_default_neighbourhoods_are_those_of_the_papers() -> None:
    assert PrecisionRecallSettings().nearest_k == 3
    assert DensityCoverageSettings().nearest_k == 5


@pytest.mark.parametrize("name", ALL)
def test_real_images_score_about_their_floor_and_half_the_classes_less_variety(
    context: Any, digits: Data, take: Any, name: str
) -> None:
    made, metric, y = context(data=digits), ALL[name](), digits.train.y
    assert y is not None
    order = np.random.default_rng(1).permutation(len(y))
    images = torch.tensor(digits.train.x)
    real = take(metric, made, images[order[:360]])
    half = take(metric, made, images[order[y[order] < 5][:360]])
    assert real.floor == pytest.approx(real.value, abs=0.12)
    if name in ("recall", "coverage"):
        assert half.value < 0.65 < real.value
    else:
        assert half.value > 0.8


@pytest.mark.parametrize("name", ALL)
def test_points_are_their_own_features(context: Any, take: Any, name: str) -> None:
    order = np.random.default_rng(0)
    splits = [
        Split(x=order.normal(size=(300, 2)).astype(np.float32), y=None, digest=str(part))
        for part in range(2)
    ]
    data = Data(spec=DataSpec(name="cloud", shape=(2,)), train=splits[0], test=splits[1])
    points = torch.from_numpy(splits[0].x)
    near = take(ALL[name](), context(data=data), points)
    far = take(ALL[name](), context(data=data), points * 0.1 + 8)
    assert near.protocol["layer"] == "values as given (2)"
    assert near.note == "on pixels"
    assert near.value > 0.8
    assert far.value == 0


def rooted(points: Tensor, others: Tensor) -> list[Tensor]:
    return [rows.clamp_min(0).sqrt() for rows in squared_distances(points, others)]


@pytest.mark.parametrize("measured", [rooted, careful_distances])
def test_portions_change_no_distance_and_no_radius(
    measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = torch.randn(301, 20, generator=torch.Generator().manual_seed(0))
    whole = torch.cat(list(measured(points, points)))
    expected = radii(measured(points, points), 4)
    monkeypatch.setattr(neighbours, "CHUNK", 50)
    parts = list(measured(points, points))
    assert max(map(len, parts)) == 50
    joined = torch.cat(parts)
    # A point's distance to itself is the root of a rounding error, which the chunk decides.
    own = torch.eye(len(points), dtype=torch.bool)
    assert joined[own].max() < 5e-3
    torch.testing.assert_close(joined[~own], whole[~own], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(radii(parts, 4), expected)
    exact = (points[:, None].double() - points.double()).norm(dim=2).sort(1).values[:, 4]
    torch.testing.assert_close(expected, exact.float(), rtol=1e-5, atol=1e-5)


def test_distances_are_those_of_cdist_to_the_last_bit() -> None:
    points = torch.rand(1200, 30, generator=torch.Generator().manual_seed(0))
    others = points[:400] + 0.1
    expected = [torch.cdist(part, others) for part in points.split(neighbours.CHUNK)]
    assert torch.equal(torch.cat(rooted(points, others)), torch.cat(expected))
    balls = torch.cat(expected).amin(0) * torch.tensor([1.0, 0.999]).repeat(200)
    inside = (torch.cat(expected) <= balls).any(1).double().mean()
    assert share_inside(points, others, balls) == float(inside)


@pytest.mark.parametrize("columns", [3, 11, 100, 1003])
def test_the_smallest_values_are_found_in_blocks_as_in_the_whole(columns: int) -> None:
    rows = torch.randn(50, columns, generator=torch.Generator().manual_seed(1))
    rows[:20] = rows[:20].round()  # ties
    rows[3, 1], rows[4, :2] = torch.inf, torch.nan
    for k in (1, 3):
        found = smallest(rows, k)
        torch.testing.assert_close(
            found, rows.kthvalue(k, dim=1).values, rtol=0, atol=0, equal_nan=True
        )


def test_a_bound_on_squares_holds_where_the_roots_do() -> None:
    roots = torch.cat(
        (torch.rand(1000, generator=torch.Generator().manual_seed(2)), torch.zeros(1))
    )
    bounds = largest_square(roots)
    assert bool((bounds.sqrt() <= roots).all())
    assert bool((bounds.nextafter(torch.tensor(torch.inf)).sqrt() > roots).all())


def test_fewer_samples_than_neighbours_are_refused_in_one_sentence(
    context: Any, digits: Data
) -> None:
    with pytest.raises(UsageError, match="precision needs at least 4 samples, but there are 3"):
        Precision().begin(context(data=digits, n=3))
    few = Split(x=digits.test.x[:5], y=None, digest="few")
    with pytest.raises(UsageError, match="coverage needs at least 6 test images, but there are 5"):
        Coverage().begin(context(data=replace(digits, test=few), n=50))


@pytest.mark.parametrize("name", ALL)
def test_they_keep_the_contract(name: str) -> None:
    metric: type[Metric] = ALL[name]
    kind = PrecisionRecallSettings if name in ("precision", "recall") else DensityCoverageSettings
    check_metric(name, kind(extractor="pixels"))
    assert metric.uses == "samples"
