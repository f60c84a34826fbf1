"""The laws of stacked-mnist: a digit in each channel, known modes, and a balanced test split."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genbench import DataAccess, MetricContext
from genbench.features.classifier import StackedFeatures, classifier_for
from genbench_data.digits import Digits
from genbench_data.image_settings import DigitsSettings, StackedMnistSettings
from genbench_data.stacked import StackedMnist
from genbench_metrics.class_counts import ClassCounts

SMALL = {"size": 28, "train": 500, "each": 1, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stacked")


@pytest.fixture(scope="module")
def access(folder):
    return DataAccess(root=folder, cache=folder / "cache", offline=True)


@pytest.fixture(scope="module")
def stacked(access):
    return StackedMnist(StackedMnistSettings(**SMALL)).load(access)


@pytest.fixture
def context(stacked, tmp_path):
    return MetricContext(
        data=stacked, model=None, device=torch.device("cpu"), cache=tmp_path, n=1000, offline=True
    )


def test_each_channel_is_an_image_of_the_digit_that_the_label_has_there(stacked, access):
    digits = Digits(DigitsSettings(size=28)).load(access)
    for split, single in ((stacked.train, digits.train), (stacked.test, digits.test)):
        known = {x.tobytes(): int(y) for x, y in zip(single.x[:, 0], single.y, strict=True)}
        read = [[known[channel.tobytes()] for channel in image] for image in split.x[:100]]
        assert [100 * a + 10 * b + c for a, b, c in read] == split.y[:100].tolist()


def test_the_test_split_has_every_mode_equally_often_and_the_training_split_is_random(stacked):
    assert np.array_equal(np.sort(stacked.test.y), np.arange(1000))
    assert 350 < len(np.unique(stacked.train.y)) < 450  # 1000 (1 - exp(-0.5)) = 393


def test_it_is_made_of_mnist_where_that_is_and_of_digits_elsewhere(access, folder, tmp_path):
    settings = StackedMnistSettings(**SMALL)
    assert settings.fitted(access).source == "digits"
    assert settings.describe(access).name == "stacked-digits"
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").touch()
    there = DataAccess(root=tmp_path, cache=tmp_path, offline=True)
    assert settings.describe(there).name == "stacked-mnist"
    asked = StackedMnistSettings(source="mnist", **SMALL)
    assert "MNIST" in (asked.missing(access) or "")


def test_the_shipped_classifier_reads_each_channel_and_the_joint_class_is_the_number(
    stacked, context
):
    classifier, note = classifier_for(context, (3, 28, 28))
    assert isinstance(classifier, StackedFeatures)
    assert (note, classifier.classes, classifier.dim) == ("", 1000, 252)
    images = torch.tensor(stacked.test.x[:200])
    logits = classifier.logits(images)
    assert float((logits.exp().sum(1) - 1).abs().max()) < 1e-4
    right = logits.argmax(1) == torch.tensor(stacked.test.y[:200])
    assert float(right.double().mean()) > 0.9
    assert classifier.features(images).shape == (200, 252)


@pytest.fixture
def scores(context):
    def scored(images):
        metric = ClassCounts()
        metric.begin(context)
        for part in torch.split(images, 300):
            metric.update(part)
        return {score.metric: score for score in metric.result()}

    return scored


def test_modes_are_counted_and_their_divergence_is_that_from_uniform(stacked, scores):
    real = torch.tensor(stacked.test.x)
    assert scores(real)["classes"].value > 930
    collapsed = scores(real[:1].expand(1000, 3, 28, 28))
    assert collapsed["classes"].value == 1
    assert collapsed["class_kl"].value == pytest.approx(math.log(1000), abs=1e-6)
    few = scores(real[torch.tensor(stacked.test.y) < 100].repeat(10, 1, 1, 1))
    assert few["class_kl"].value == pytest.approx(math.log(10), abs=0.1)


def test_the_floor_of_modes_is_what_as_many_independent_real_images_reach(stacked, scores):
    """n of them reach 1000 (1 - (1 - 1/1000)^n) of the 1000 modes on average."""
    torch.manual_seed(0)
    for n in (100, 500):
        rows = torch.randint(1000, (n,))
        found = scores(torch.tensor(stacked.test.x)[rows])["classes"]
        assert found.floor == pytest.approx(1000 * (1 - 0.999**n), abs=2)
        assert found.floor < n
        assert found.value == pytest.approx(len(rows.unique()), rel=0.02)
