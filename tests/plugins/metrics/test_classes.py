"""The laws of classes, class_kl and spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from genbench import Data, DataAccess, DataSpec, Metric, MetricContext, Score, Split, UsageError
from genbench.features.lenet import LeNet
from genbench.registry import Registry
from genbench_metrics.class_counts import (
    ClassCounts,
    divergence,
    expected_divergence,
    expected_hits,
    hits,
)
from genbench_metrics.fd_clf import FdClf
from genbench_metrics.metric_settings import ClassesSettings, SpreadSettings
from genbench_metrics.spread import Spread


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("digits")
    registry = Registry.from_environment()
    settings = registry.settings("dataset", "digits")()
    access = DataAccess(root=folder, cache=folder, offline=True)
    data: Data = registry.target("dataset", "digits")(settings).load(access)
    return data


def scores(metric: Metric, context: MetricContext, images: Any) -> Sequence[Score]:
    metric.begin(context)
    for batch in torch.from_numpy(np.array(images)).split(37):
        metric.update(batch)
    return metric.result()


def test_real_digits_hit_all_classes_evenly(context: Any, digits: Data) -> None:
    made = context(data=digits)
    classes, kl = scores(ClassCounts(), made, digits.test.x)
    assert (classes.value, classes.floor, classes.direction) == (10.0, 10.0, "max")
    assert kl.value < 0.005
    assert kl.floor == pytest.approx(9 / len(digits.test.x))


@pytest.mark.parametrize("kept", [1, 5])
def test_the_classes_that_are_left_out_are_missed(context: Any, digits: Data, kept: int) -> None:
    assert digits.test.y is not None
    some = digits.test.x[digits.test.y < kept]
    classes, kl = scores(ClassCounts(), context(data=digits), some)
    assert classes.value == kept
    assert kl.value == pytest.approx(np.log(10 / kept), rel=0.1)


def test_classes_and_fd_clf_pass_each_minibatch_through_the_classifier_once(
    context: Any, digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, passes, plain = context(data=digits, n=250), list[int](), LeNet.features
    metrics = [ClassCounts(), FdClf()]
    for metric in metrics:
        metric.begin(made)
    monkeypatch.setattr(LeNet, "features", lambda net, x: passes.append(len(x)) or plain(net, x))
    for batch in torch.from_numpy(np.array(digits.test.x[:300])).split(100):
        for metric in metrics:
            metric.update(batch)
    assert passes == [100, 100, 100]
    assert [score.n for metric in metrics for score in metric.result()] == [250, 250, 250]


def test_the_floor_of_classes_counts_rare_labels_as_draws_of_them_do() -> None:
    assert expected_hits(np.array([50, 50, 0]), 100) == 2  # no draw has an absent class
    assert expected_hits(np.full(10, 98), 10) == 7  # 10 (1 - 0.9^10) = 6.5
    assert expected_hits(np.full(1000, 10), 10_000) == 1000


def test_a_few_slips_of_the_classifier_hit_no_class() -> None:
    counts = np.array([900, 95, 5])
    assert hits(counts) == 2
    assert hits(np.array([1, 0, 1])) == 2


def test_the_divergence_is_the_textbooks() -> None:
    assert divergence(np.array([50, 50]), np.array([10_000, 10_000])) == pytest.approx(0, abs=1e-9)
    assert divergence(np.array([7, 0]), np.array([10**9, 10**9])) == pytest.approx(np.log(2))
    assert np.isfinite(divergence(np.array([1, 1]), np.array([5, 0])))


@pytest.mark.parametrize(("n", "m"), [(1000, 1000), (10_000, 10_000), (500, 10_000), (2000, 360)])
def test_the_floor_is_what_perfect_samples_get_on_average(n: int, m: int) -> None:
    order = np.random.default_rng(0)
    law = order.dirichlet(np.full(10, 20.0))
    drawn = [divergence(order.multinomial(n, law), order.multinomial(m, law)) for _ in range(3000)]
    error = float(np.std(drawn)) / len(drawn) ** 0.5
    # What lies beyond the first order is below a hundredth at some twenty labels of a class.
    assert expected_divergence(10, n, m) == pytest.approx(np.mean(drawn), rel=0.02, abs=3 * error)


def test_a_watch_trains_no_classifier_but_uses_one_that_is_there(context: Any) -> None:
    made = context(quick=True)
    with pytest.raises(UsageError, match="the monitor doesn't train one"):
        ClassCounts().begin(made)
    assert not list(made.cache.glob("metrics/classifier-*"))


def test_points_and_unlabelled_images_have_no_classes(context: Any) -> None:
    points = np.zeros((50, 2), np.float32)
    split = Split(x=points, y=np.zeros(50, np.int64), digest="points")
    data = Data(spec=DataSpec(name="ring", shape=(2,), classes=2), train=split, test=split)
    with pytest.raises(UsageError, match="needs labelled images"):
        ClassCounts().begin(context(data=data))


def test_the_test_split_spreads_as_itself(context: Any) -> None:
    made = context()
    (score,) = scores(Spread(), made, made.data.test.x)
    assert score.value == pytest.approx(1.0)


def test_the_spread_is_a_ratio_with_a_target_of_one(context: Any) -> None:
    order = np.random.default_rng(0)
    x = order.normal(3.0, 1.0, (400, 2)).astype(np.float32)
    split = Split(x=x, y=None, digest="normal")
    data = Data(spec=DataSpec(name="points", shape=(2,)), train=split, test=split)
    made = context(data=data)
    (narrow,) = scores(Spread(), made, 0.25 * x + 7)
    (wide,) = scores(Spread(), made, 4 * x)
    assert narrow.value == pytest.approx(0.25, rel=1e-4)
    assert wide.value == pytest.approx(4.0, rel=1e-4)
    assert (narrow.direction, narrow.floor) == ("floor", 1.0)


def test_one_image_over_and_over_has_no_spread(context: Any) -> None:
    made = context()
    (score,) = scores(Spread(), made, np.repeat(made.data.test.x[:1], 120, axis=0))
    assert score.value == pytest.approx(0.0, abs=1e-6)


def test_only_the_first_n_samples_count(context: Any, digits: Data) -> None:
    made = context(data=digits)
    classes, _ = scores(ClassCounts(ClassesSettings(n=50)), made, digits.test.x)
    (spread,) = scores(Spread(SpreadSettings(n=50)), made, digits.test.x)
    assert classes.n == spread.n == 50
    assert classes.protocol["n"] == spread.protocol["n"] == 50
