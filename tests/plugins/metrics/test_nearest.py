"""The laws of nearest: copies are caught, held-out images are not, neighbours are the true ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from genbench import Data, DataSpec, Score, Split
from genbench.testing import check_metric
from genbench_metrics.feature_settings import NearestSettings
from genbench_metrics.nearest import Nearest, share_nearer
from genbench_metrics.neighbours import neighbours


def _scores(metric: Nearest, context: Any, images: np.ndarray[Any, Any]) -> dict[str, Score]:
    metric.begin(context)
    for batch in torch.from_numpy(np.array(images)).split(70):
        metric.update(batch)
    return {score.metric: score for score in metric.result()}


@pytest.fixture
def halves(digits: Data) -> tuple[Data, np.ndarray[Any, Any]]:
    """Digits with half of its test split, and the other half: held out from both."""
    order = np.random.default_rng(0).permutation(len(digits.test.x))
    test = Split(x=digits.test.x[np.sort(order[:180])], y=None, digest="one half")
    return replace(digits, test=test), digits.test.x[order[180:]]


def test_a_generator_that_replays_training_images_is_caught_in_both_spaces(
    context: Any, digits: Data
) -> None:
    scores = _scores(Nearest(), context(data=digits, n=200), digits.train.x[300:500])
    assert set(scores) == {"nearest_pixels", "nearest_features"}
    for score in scores.values():
        assert score.value > 0.95
        assert score.floor is not None
        assert score.value > 10 * score.floor
        assert "in 1.000 of the pairs, the sample is nearer" in score.note
    assert "on lenet5-84" in scores["nearest_features"].note


def test_copies_with_noise_on_them_are_caught_too(context: Any, digits: Data) -> None:
    noise = np.random.default_rng(0).integers(-12, 13, (200, 1, 28, 28))
    copies = np.clip(digits.train.x[:200].astype(int) + noise, 0, 255).astype(np.uint8)
    assert _scores(Nearest(), context(data=digits, n=200), copies)["nearest_pixels"].value > 0.9


def test_images_held_out_from_training_score_about_the_floor(
    context: Any, halves: tuple[Data, np.ndarray[Any, Any]]
) -> None:
    data, held_out = halves
    for score in _scores(Nearest(), context(data=data, n=180), held_out).values():
        assert score.floor == pytest.approx(0.0486, abs=0.001)
        assert score.value < 4 * score.floor


def test_samples_unlike_the_data_are_farther_and_the_note_says_so(
    context: Any, digits: Data
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 1, 28, 28), dtype=np.uint8)
    score = _scores(Nearest(), context(data=digits, n=100), noise)["nearest_pixels"]
    assert score.value == 1
    assert "in 0.000 of the pairs, the sample is nearer" in score.note


def test_the_share_of_nearer_samples_counts_ties_half() -> None:
    held_out = torch.tensor([2.0, 1.0, 3.0, 2.0])
    assert share_nearer(torch.tensor([0.0, 0.5]), held_out) == 1
    assert share_nearer(torch.tensor([9.0]), held_out) == 0
    assert share_nearer(held_out, held_out) == 0.5
    assert share_nearer(torch.tensor([2.0]), held_out) == (1 + 2 / 2) / 4


def test_neighbours_are_the_true_ones_whatever_the_portions() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, points = torch.randn(40, 9, generator=generator), torch.randn(700, 9)
    points[123] = queries[7]
    found = neighbours(queries, points.split(64), 5)
    exact = (queries[:, None].double() - points.double()).norm(dim=2).sort(1)
    assert torch.equal(found.places, exact.indices[:, :5])
    torch.testing.assert_close(found.distances, exact.values[:, :5].float())
    assert found.distances[7, 0] == 0


def test_each_row_of_the_picture_is_a_sample_and_its_neighbours_in_both_spaces(
    context: Any, digits: Data
) -> None:
    metric = Nearest(NearestSettings(rows=4))
    _scores(metric, context(data=digits, n=50), digits.train.x[40:90])
    picture = metric.pictures()["nearest"]
    assert picture.columns == 1 + 5 + 5
    headings = [("sample", 1), ("nearest by pixels", 5), ("nearest by features (lenet5-84)", 5)]
    assert list(picture.groups) == headings
    assert picture.images.shape == (4 * 11, 1, 28, 28)
    rows = picture.images.view(4, 11, 1, 28, 28)
    copies = torch.tensor(digits.train.x[40:44])
    assert torch.equal(rows[:, 0], copies)
    assert torch.equal(rows[:, 1], copies)
    assert torch.equal(rows[:, 6], copies)
    assert not torch.equal(rows[:, 2], copies)


def test_points_have_one_space_and_no_picture(context: Any) -> None:
    order = np.random.default_rng(0)
    splits = [
        Split(x=order.normal(size=(200, 2)).astype(np.float32), y=None, digest=str(part))
        for part in range(2)
    ]
    data = Data(spec=DataSpec(name="cloud", shape=(2,)), train=splits[0], test=splits[1])
    metric = Nearest()
    scores = _scores(metric, context(data=data), splits[0].x)
    assert set(scores) == {"nearest_pixels"}
    assert scores["nearest_pixels"].value == 1
    assert metric.pictures() == {}


def test_no_more_than_the_first_thousand_samples_are_taken() -> None:
    assert NearestSettings().n == 1000


def test_nearest_keeps_the_contract() -> None:
    check_metric("nearest", NearestSettings(extractor="pixels"))
