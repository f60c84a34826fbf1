"""The laws of is: torch-fidelity's number on the same logits, and no number without classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, Split, UsageError
from genbench.testing import check_metric
from genbench_metrics.feature_settings import InceptionScoreSettings
from genbench_metrics.inception_score import InceptionScore

MEAN, STD = "inception_score_mean", "inception_score_std"


def test_is_is_torch_fidelitys_on_the_same_images_and_classifier(
    context: Any, digits: Data, smeared: Tensor, fidelity: Any, take: Any, lenet_of_digits: str
) -> None:
    ours = take(InceptionScore(), context(data=digits, n=1100), smeared)
    theirs = fidelity(smeared, smeared[:2], isc=True, feature_extractor=lenet_of_digits)
    assert ours.value == pytest.approx(theirs[MEAN], rel=1e-5)
    assert ours.std == pytest.approx(theirs[STD], rel=1e-5)
    assert ours.direction == "max"
    assert ours.protocol["layer"] == "logits (10)"
    assert ours.protocol["splits"] == 10


def test_real_digits_score_near_ten_classes_and_one_class_scores_one(
    context: Any, digits: Data, take: Any
) -> None:
    made = context(data=digits)
    metric = InceptionScore(InceptionScoreSettings(splits=1))
    real = take(metric, made, torch.tensor(digits.test.x))
    assert 9 < real.value <= 10
    assert real.floor == pytest.approx(real.value, abs=0.5)
    assert digits.train.y is not None
    threes = torch.tensor(digits.train.x[digits.train.y == 3])
    assert take(metric, replace(made, n=len(threes)), threes).value == pytest.approx(1, abs=0.1)


def test_small_portions_are_noted(context: Any, digits: Data, take: Any) -> None:
    score = take(InceptionScore(), context(data=digits), torch.tensor(digits.test.x))
    assert "splits of 36 samples for 10 classes: biased downwards" in score.note
    with pytest.raises(UsageError, match="is needs at least 10 samples, but there are 9"):
        InceptionScore().begin(context(data=digits, n=9))


def test_an_extractor_without_classes_is_refused_in_one_sentence(
    context: Any, digits: Data
) -> None:
    with pytest.raises(UsageError, match=r"extractor 'pixels' doesn't have; use classifier or inc"):
        InceptionScore(InceptionScoreSettings(extractor="pixels")).begin(context(data=digits))
    unlabelled = replace(digits, train=replace(digits.train, y=None))
    with pytest.raises(UsageError, match=r"'digits' has no labels; use --set metric\.is\.extra"):
        InceptionScore().begin(context(data=unlabelled))
    split = Split(x=np.zeros((30, 2), np.float32), y=None, digest="p")
    points = Data(spec=DataSpec(name="ring", shape=(2,)), train=split, test=split)
    with pytest.raises(UsageError, match=r"'ring' has points$"):
        InceptionScore().begin(context(data=points))


def test_is_keeps_the_contract(digits: Data) -> None:
    check_metric("is", data=digits)
