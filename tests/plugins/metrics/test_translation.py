"""The laws of the scores of translations."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, Split, UsageError, to_float
from genbench.testing import check_metric
from genbench_gan.stargan import StarGAN
from genbench_gan.stargan_settings import StarGANSettings
from genbench_metrics.metric_settings import TranslationSettings
from genbench_metrics.translation import TranslationScores


class ByLooking:
    """Translates into class y by handing out real test images of the class ``answer(y, own)``.

    It returns x where that is the own class of x, and finds the image again that a translation was
    made of, so that nothing is lost.
    """

    def __init__(self, data: Data, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        images, labels = to_float(torch.tensor(data.test.x)), torch.tensor(data.test.y)
        self._of_class = [images[labels == c] for c in range(10)]
        self._answer = answer
        self._made_of: dict[bytes, Tensor] = {}

    def translate(self, x: Tensor, y: Tensor, own: Tensor | None = None) -> Tensor:
        assert own is not None
        rows = zip(x, self._answer(y, own), own, strict=True)
        return torch.stack(
            [image if c == was else self._other(image, int(c)) for image, c, was in rows]
        )

    def _other(self, image: Tensor, c: int) -> Tensor:
        key = image.numpy().tobytes()
        if key in self._made_of:
            return self._made_of[key]
        number = zlib.crc32(key)
        other = self._of_class[c][number % len(self._of_class[c])] + number % 4096 * 1e-6
        self._made_of[other.numpy().tobytes()] = image
        return other


@pytest.fixture
def scores(context, digits):
    """``scores(answer)`` -> the four scores by name of a model that answers so."""

    def of(answer=lambda y, own: y, data=digits, **settings):
        metric = TranslationScores(TranslationSettings(**settings))
        metric.begin(context(data=data, model=ByLooking(digits, answer)))
        return {score.metric.removeprefix("translation_"): score for score in metric.result()}

    return of


def test_it_keeps_the_contract_of_metrics(digits) -> None:
    settings = StarGANSettings(g_channels=2, d_channels=2, g_blocks=0)
    check_metric("translation", data=digits, model=StarGAN(settings, digits.spec))


def test_real_images_of_the_class_asked_for_score_what_the_floor_says(scores) -> None:
    found = scores()
    assert found["accuracy"].value == pytest.approx(found["accuracy"].floor, abs=0.03)
    assert found["fd"].value < found["fd"].floor  # the very images of the reference
    assert found["identity"].value == 0
    assert found["cycle"].value == pytest.approx(0, abs=1e-3)
    assert [found[name].direction for name in ("accuracy", "fd", "cycle")] == ["max", "min", "min"]
    assert (found["accuracy"].n, found["identity"].n) == (360, 360)


def test_a_model_that_changes_nothing_is_never_right_and_loses_nothing(scores) -> None:
    """Images are translated into classes that are not their own."""
    found, right = scores(lambda y, own: own), scores()
    assert found["accuracy"].value < 0.02
    assert found["fd"].value > 10 * right["fd"].value
    assert found["cycle"].value == found["identity"].value == 0


def test_every_class_counts_the_same_and_is_named(scores) -> None:
    found = scores(lambda y, own: torch.where(y == 7, own, y))
    assert found["accuracy"].value == pytest.approx(scores()["accuracy"].value - 0.1, abs=0.01)
    assert "7: 0" in found["accuracy"].note
    assert found["accuracy"].note.count(":") == found["fd"].note.count(":") == 11


def test_a_brighter_identity_costs_the_difference_of_its_grey_levels(context, digits) -> None:
    class Brighter:
        def translate(self, x, y, own=None):
            return (x + 0.2).clamp(-1, 1)

    metric = TranslationScores()
    metric.begin(context(data=digits, model=Brighter()))
    identity = next(s for s in metric.result() if s.metric == "translation_identity")
    real = to_float(torch.tensor(digits.test.x))
    expected = ((real + 0.2).clamp(-1, 1) - real).abs().mean() / 2
    assert identity.value == pytest.approx(float(expected), abs=1e-6)


def test_latents_are_scored_by_their_images_against_what_was_encoded(context, digits) -> None:
    """Codes that are images at half contrast: a model of them that loses nothing scores 0."""

    def codes(split: Split) -> Split:
        x = np.float32(0.5) * to_float(torch.tensor(split.x)).numpy()
        return Split(x=x, y=split.y, digest=f"half {split.digest}")

    latents = Data(
        spec=replace(digits.spec, name="latents:x", latent=True, source=digits.spec),
        train=codes(digits.train),
        test=codes(digits.test),
        render=lambda h: 2 * h,
        source=digits,
    )

    class Nothing:
        def translate(self, x, y, own=None):
            return x

    metric = TranslationScores(TranslationSettings(n=50))
    metric.begin(context(data=latents, model=Nothing()))
    found = {score.metric: score for score in metric.result()}
    assert found["translation_identity"].value < 1e-6
    assert found["translation_fd"].protocol["reference_digest"] == digits.test.digest


def test_rare_classes_have_no_distance_but_an_accuracy(context, digits) -> None:
    few = np.flatnonzero((digits.test.y != 3) | (np.cumsum(digits.test.y == 3) <= 5))
    test = replace(digits.test, x=digits.test.x[few], y=digits.test.y[few], digest="few")
    metric = TranslationScores()
    model = ByLooking(digits, lambda y, own: y)
    metric.begin(context(data=replace(digits, test=test), model=model))
    accuracy, fd = metric.result()[:2]
    assert (accuracy.protocol["classes"], fd.protocol["classes"]) == (10, 9)
    assert "3: " in accuracy.note
    assert "3: " not in fd.note


def test_data_without_labels_and_too_few_translations_are_refused(context, digits, scores) -> None:
    bare = Data(
        spec=DataSpec(name="bare", shape=(1, 28, 28)),
        train=replace(digits.train, y=None),
        test=replace(digits.test, y=None),
    )
    with pytest.raises(UsageError, match="needs labelled images, but 'bare' has none"):
        scores(data=bare)
    with pytest.raises(UsageError, match=r"10 classes, but n is 5; set metric\.translation\.n"):
        scores(n=5)
