"""The metrics of modes against values counted by hand, exact laws and real data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from genbench import Data, DataSpec, Split, UsageError
from genbench.testing import check_metric, small_data
from genbench_toy.mode_metrics import HighQuality, ModeKl, Modes, ModeStd
from genbench_toy.toy_settings import HighQualitySettings, ModeKlSettings, ModeStdSettings

CROSS = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)


def pair_of_modes() -> Data:
    """Two modes at (0, 0) and (10, 0) with a std of exactly 1 / sqrt(2)."""
    x = torch.cat((CROSS, CROSS + torch.tensor([10.0, 0.0]))).numpy().astype(np.float32)
    y = np.repeat(np.arange(2, dtype=np.int64), 4)
    spec = DataSpec(name="pair", shape=(2,), classes=2)
    return Data(
        spec=spec, train=Split(x=x, y=y, digest="a" * 32), test=Split(x=x, y=y, digest="b" * 32)
    )


def measured(metric, context, points, chunk=100):
    metric.begin(context)
    points = torch.as_tensor(np.asarray(points), dtype=torch.float32)
    for start in range(0, len(points), chunk):
        metric.update(points[start : start + chunk])
    [score] = metric.result()
    return score


@pytest.fixture
def by_hand(context):
    """4 std are 2.83: three samples lie in the first mode, one in the second, one in none."""
    points = [[0, 1], [0, -1], [0, 0], [10, 2.8], [0, 2.9]]
    return lambda metric: measured(metric, context(pair_of_modes()), points)


def test_modes_are_those_with_a_high_quality_sample(by_hand, context):
    assert by_hand(Modes()).value == 2
    assert measured(Modes(), context(pair_of_modes()), [[0, 2.9], [10, 2.8]]).value == 1
    assert measured(Modes(), context(pair_of_modes()), [[5, 0]]).value == 0


def test_high_quality_is_the_share_within_4_std(by_hand):
    assert by_hand(HighQuality()).value == 4 / 5
    assert by_hand(HighQuality(HighQualitySettings(within=1))).value == 1 / 5


def test_mode_kl_is_of_the_nearest_modes_of_all_samples_or_of_those_of_high_quality(by_hand):
    assert by_hand(ModeKl()).value == pytest.approx(entropy([0.8, 0.2], [0.5, 0.5]))
    good = ModeKl(ModeKlSettings(count="high-quality"))
    assert by_hand(good).value == pytest.approx(entropy([0.75, 0.25], [0.5, 0.5]))


def test_mode_std_is_that_of_high_quality_samples_around_their_own_mean(by_hand, context):
    # (0, 1), (0, -1), (0, 0) alone are two in a mode: 2 / ((3 - 1) * 2 directions)
    assert by_hand(ModeStd()).value == pytest.approx(math.sqrt(0.5))
    shifted = [[1, 1], [1, -1], [1, 0]]
    score = measured(ModeStd(), context(pair_of_modes()), shifted)
    assert score.value == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("k", [1, 5, 25])
def test_a_generator_of_k_of_25_modes_has_k_modes_and_a_kl_of_log_25_over_k(toy, context, k):
    data = toy("gaussians-25", train=20_000, test=10_000)
    some = data.test.x[data.test.y < k]
    assert measured(Modes(), context(data), some).value == k
    expected = entropy(np.bincount(data.test.y[data.test.y < k]), np.ones(k)) + math.log(25 / k)
    assert measured(ModeKl(), context(data), some).value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["gaussians-25", "gaussians-8"])
def test_the_floor_is_what_real_points_get(toy, context, name):
    data = toy(name)
    for metric in (Modes(), HighQuality(), ModeStd(), ModeKl()):
        score = measured(metric, context(data), data.test.x)
        assert score.value == pytest.approx(score.floor, rel=1e-6)
    assert measured(ModeStd(), context(data), data.test.x).floor == pytest.approx(
        {"gaussians-25": 0.05, "gaussians-8": 0.02}[name], rel=0.03
    )


def test_the_floor_has_as_many_points_as_there_are_samples(toy, context):
    data = toy("gaussians-25")
    few = measured(Modes(), context(data, n=10), data.train.x[:10])
    assert few.floor <= 10
    many = measured(HighQuality(), context(data, n=4_000), data.train.x[:4_000])
    assert "2000 real points" in many.note


def test_squeezed_modes_have_a_smaller_std_and_a_note_and_near_the_floor_is_best(toy, context):
    data = toy("gaussians-25")
    centres = np.array([(x, y) for y in range(-2, 3) for x in range(-2, 3)])[data.test.y]
    score = measured(ModeStd(), context(data), centres + (data.test.x - centres) / 5)
    assert score.value == pytest.approx(0.01, rel=0.05)
    assert "narrower than the data" in score.note
    assert score.direction == "floor"
    assert not measured(ModeStd(), context(data), data.test.x).note


@pytest.mark.parametrize("metric", ["modes", "high_quality", "mode_kl"])
def test_the_metrics_keep_the_contract(metric):
    check_metric(metric, data=small_data((2,), train=256, test=96))


def test_mode_std_keeps_the_contract_where_noise_reaches_the_modes():
    data = small_data((2,), train=256, test=96)
    wide = [
        replace(split, x=(split.x + 1) * np.float32(127.5)) for split in (data.train, data.test)
    ]
    check_metric("mode_std", data=replace(data, train=wide[0], test=wide[1]))


@pytest.mark.parametrize("metric", [Modes, HighQuality, ModeStd, ModeKl])
def test_data_without_labels_or_of_images_is_refused_in_one_sentence(toy, context, metric):
    with pytest.raises(UsageError, match="'swiss-roll' has no labels; use"):
        metric().begin(context(toy("swiss-roll")))
    with pytest.raises(UsageError, match="has images; use these metrics on gaussians-25"):
        metric().begin(context(small_data()))


def test_a_spread_that_no_sample_has_is_not_taken(toy, context):
    with pytest.raises(UsageError, match="too few of 3 samples are within 4 std of a mode"):
        measured(ModeStd(), context(toy("gaussians-25")), [[50, 50], [60, 60], [0, 0]])
    with pytest.raises(UsageError, match="too few"):
        measured(
            ModeKl(ModeKlSettings(count="high-quality")), context(toy("gaussians-8")), [[0, 0]]
        )


def test_other_settings_are_other_protocols(by_hand):
    protocols = [
        by_hand(metric).protocol
        for metric in (
            ModeStd(),
            ModeStd(ModeStdSettings(within=3)),
            ModeKl(),
            ModeKl(ModeKlSettings(count="high-quality")),
        )
    ]
    assert len({str(sorted(p.items(), key=str)) for p in protocols}) == 4
