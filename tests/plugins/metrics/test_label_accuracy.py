"""The laws of label_accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genbench import Data, DataSpec, IncompatibleError, Split, UsageError, to_float
from genbench.evaluation import check_fit
from genbench.spec import Part
from genbench.testing import check_metric
from genbench_metrics.label_accuracy import LabelAccuracy, accuracies
from genbench_metrics.metric_settings import LabelAccuracySettings


class FromTheData:
    """A conditional model that hands out real test images of the class ``answer(y)``."""

    classes = 10

    def __init__(self, data: Data, answer: Callable[[Tensor], Tensor] = lambda y: y) -> None:
        images = to_float(torch.from_numpy(np.array(data.test.x)))
        labels = torch.from_numpy(np.array(data.test.y))
        self._of_class = [images[labels == c] for c in range(10)]
        self._answer = answer
        self.nets = nn.ModuleDict()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 1, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        shares = torch.special.ndtr(z[:, 0])
        return torch.stack(
            [
                (images := self._of_class[int(c)])[int(share * (len(images) - 1))]
                for share, c in zip(shares, self._answer(y), strict=True)
            ]
        ).to(z.device)

    def render(self, h: Tensor) -> Tensor:
        return h


def score(context: Any, **settings: Any) -> Any:
    metric = LabelAccuracy(LabelAccuracySettings(**settings))
    metric.begin(context)
    (found,) = metric.result()
    return found


def test_it_keeps_the_contract_of_metrics(digits) -> None:
    check_metric("label_accuracy", data=digits, model=FromTheData(digits))


def test_real_images_of_the_class_asked_for_score_what_the_floor_says(context, digits) -> None:
    found = score(context(data=digits, model=FromTheData(digits), n=1000))
    assert found.value == pytest.approx(found.floor, abs=0.02)
    assert found.floor > 0.95
    assert (found.direction, found.n) == ("max", 1000)
    assert "worst class" in found.note


def test_a_model_that_ignores_the_label_is_right_by_chance(context, digits) -> None:
    one = FromTheData(digits, lambda y: torch.full_like(y, 3))
    found = score(context(data=digits, model=one, n=200))
    assert found.value == pytest.approx(0.1, abs=0.01)


def test_one_class_that_is_always_another_costs_its_share_and_is_named(context, digits) -> None:
    wrong = FromTheData(digits, lambda y: torch.where(y == 7, 1, y))
    found = score(context(data=digits, model=wrong, n=1000))
    right = score(context(data=digits, model=FromTheData(digits), n=1000))
    assert right.value - found.value == pytest.approx(0.1, abs=0.01)
    assert found.note == "worst class: 7 (0.0%)"


def test_every_class_is_asked_for_equally_often_and_all_at_least_once(context, digits) -> None:
    asked: list[Tensor] = []

    def note(y: Tensor) -> Tensor:
        asked.append(y)
        return y

    score(context(data=digits, model=FromTheData(digits, note), n=100, batch_size=30))
    assert torch.cat(asked).bincount().tolist() == [10] * 10
    with pytest.raises(UsageError, match="a sample of each of the 10 classes, but n is 9"):
        score(context(data=digits, model=FromTheData(digits)), n=9)


def test_the_same_seed_draws_the_same_samples(context, digits) -> None:
    noisy = FromTheData(digits)
    made = context(data=digits, model=noisy, n=50)
    assert score(made) == score(made)


def test_the_protocol_names_classifier_images_and_number(context, digits) -> None:
    found = score(context(data=digits, model=FromTheData(digits)), n=40)
    assert found.protocol["weights"]
    assert found.protocol["reference_digest"] == digits.test.digest
    assert found.protocol["n"] == found.n == 40


def test_what_a_latent_space_renders_is_read_with_the_classifier_of_its_source(
    context, digits
) -> None:
    """The model makes upside-down codes; the data's render turns them."""

    class Codes(FromTheData):
        def render(self, h: Tensor) -> Tensor:
            return h.flip(-2)

    codes = Codes(digits)
    spec = replace(digits.spec, name="codes", latent=True)
    latent = Data(
        spec=spec,
        train=digits.train,
        test=digits.test,
        render=lambda h: h.flip(-2),
        source=digits,
    )
    assert score(context(data=latent, model=codes, n=200)).value > 0.9
    assert score(context(data=digits, model=codes, n=200)).value < 0.6


def test_models_without_labels_and_data_without_classes_are_refused(context, digits) -> None:
    class Unconditional:
        prior = FromTheData.prior
        generate = FromTheData.generate
        render = FromTheData.render

    with pytest.raises(IncompatibleError, match="needs a model that takes labels"):
        check_fit(Unconditional(), [], [(Part(name="label_accuracy"), LabelAccuracy())])
    split = Split(x=np.zeros((50, 2), np.float32), y=np.zeros(50, np.int64), digest="points")
    ring = Data(spec=DataSpec(name="ring", shape=(2,), classes=2), train=split, test=split)
    with pytest.raises(UsageError, match="needs labelled images, but 'ring' has none"):
        LabelAccuracy().begin(context(data=ring, model=FromTheData(digits)))


def test_shares_are_by_class_and_nan_where_nobody_asked() -> None:
    found = accuracies(torch.tensor([0, 0, 2, 2]), torch.tensor([0, 1, 2, 2]))
    assert found[[0, 2]].tolist() == [0.5, 1.0]
    assert found[1].isnan()
