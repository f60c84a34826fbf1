"""The laws of kid: torch-fidelity's number, unbiased, honest with few samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, Split, UsageError
from genbench.testing import check_metric
from genbench_metrics.feature_settings import KidSettings
from genbench_metrics.kid import Kid

MEAN, STD = "kernel_inception_distance_mean", "kernel_inception_distance_std"


def test_kid_is_torch_fidelitys_on_the_same_images_and_classifier(
    context: Any, digits: Data, smeared: Tensor, fidelity: Any, take: Any, lenet_of_digits: str
) -> None:
    data = replace(digits, test=digits.train)
    ours = take(Kid(KidSettings(subsets=10)), context(data=data, n=1100), smeared)
    theirs = fidelity(
        smeared,
        torch.tensor(digits.train.x),
        kid=True,
        kid_subsets=10,
        feature_extractor=lenet_of_digits,
    )
    assert ours.value == pytest.approx(theirs[MEAN], rel=1e-5)
    assert ours.std == pytest.approx(theirs[STD], rel=1e-5)
    assert (ours.protocol["subsets"], ours.protocol["subset_size"]) == (10, 1000)
    assert KidSettings().subsets == 100
    assert ours.protocol["extractor"] == "lenet5-84"
    assert ours.note.startswith("on lenet5-84; real training images score ")


def test_fewer_samples_than_a_subset_lower_its_size_and_the_score_says_so(
    context: Any, digits: Data, smeared: Tensor, fidelity: Any, take: Any, lenet_of_digits: str
) -> None:
    ours = take(Kid(), context(data=digits), smeared[:360])
    theirs = fidelity(
        smeared[:360],
        torch.tensor(digits.test.x),
        kid=True,
        kid_subset_size=360,
        feature_extractor=lenet_of_digits,
    )
    assert ours.value == pytest.approx(theirs[MEAN], rel=1e-5)
    assert ours.protocol["subset_size"] == 360
    assert "subsets of only 360 samples" in ours.note


def test_kid_of_points_is_zero_on_average_for_their_own_law(context: Any, take: Any) -> None:
    order = np.random.default_rng(0)
    splits = [
        Split(x=order.normal(size=(400, 2)).astype(np.float32), y=None, digest=str(part))
        for part in range(2)
    ]
    data = Data(spec=DataSpec(name="cloud", shape=(2,)), train=splits[0], test=splits[1])
    draws = torch.from_numpy(order.normal(size=(30, 400, 2)).astype(np.float32))
    metric = Kid(KidSettings(subsets=1))
    values = [take(metric, context(data=data), draw).value for draw in draws]
    spread = float(np.std(values)) / len(values) ** 0.5
    reference = take(metric, context(data=data), torch.from_numpy(splits[0].x)).value
    # The reference is one draw for all of them, so it has its own share of the error.
    assert abs(np.mean(values)) < 4 * spread + abs(reference)
    far = take(metric, context(data=data), draws[0] + 1).value
    assert far > 20 * max(map(abs, values))


def test_n_takes_the_first_samples_only(
    context: Any, digits: Data, smeared: Tensor, take: Any
) -> None:
    made = context(data=digits)
    some = take(Kid(KidSettings(n=100)), made, smeared[:360])
    assert some.n == some.protocol["n"] == 100
    assert some.value == take(Kid(), replace(made, n=100), smeared[:100]).value


def test_one_sample_is_refused_in_one_sentence(context: Any, digits: Data) -> None:
    with pytest.raises(UsageError, match="kid needs at least 2 samples, but there are 1"):
        Kid().begin(context(data=digits, n=1))


def test_kid_keeps_the_contract() -> None:
    check_metric("kid", KidSettings(extractor="pixels"))
