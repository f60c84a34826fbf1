"""The laws of the reconstruction error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataSpec, Score, Split
from genbench_metrics.metric_settings import ReconstructionSettings
from genbench_metrics.reconstruction import ReconstructionError


class Shifted:
    """Reconstructs everything brighter by a constant, in units of [-1, 1]."""

    def __init__(self, by: float) -> None:
        self.by = by

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x + self.by


class Labelled(Shifted):
    """A conditional one that is exact only when it is told the class."""

    classes = 2

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return x + 0.0 * y.view(-1, 1, 1, 1)


def _score(context: Any, settings: ReconstructionSettings | None = None) -> Score:
    metric = ReconstructionError(settings)
    metric.begin(context)
    (score,) = metric.result()
    return score


def test_a_constant_error_of_a_tenth_of_the_grey_scale_is_a_hundredth(context: Any) -> None:
    score = _score(context(model=Shifted(0.2), batch_size=50))
    assert score.value == pytest.approx(0.01, rel=1e-5)
    assert (score.metric, score.n, score.direction) == ("reconstruction", 120, "min")


def test_the_error_does_not_depend_on_the_batch_size(context: Any) -> None:
    values = [_score(context(model=Shifted(0.3), batch_size=size)).value for size in (7, 50, 500)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-9)


def test_protocol_says_range_split_and_n(context: Any) -> None:
    made = context(model=Shifted(0.0))
    score = _score(made, ReconstructionSettings(n=30))
    assert score.value == 0
    assert score.protocol["n"] == score.n == 30
    assert score.protocol["range"] == "[0, 1]"
    assert score.protocol["reference_digest"] == made.data.test.digest


def test_a_conditional_model_is_told_the_labels(context: Any) -> None:
    assert _score(context(model=Labelled(0.0))).value == 0


def test_points_are_compared_in_their_own_unit(context: Any) -> None:
    split = Split(x=np.zeros((9, 2), np.float32), y=None, digest="p")
    points = Data(spec=DataSpec(name="ring", shape=(2,)), train=split, test=split)
    assert _score(context(data=points, model=Shifted(0.5))).value == pytest.approx(0.25)


def test_a_latent_space_is_compared_by_its_images(context: Any) -> None:
    split = Split(x=np.zeros((9, 2), np.float32), y=None, digest="z")
    data = Data(
        spec=DataSpec(name="latents", shape=(2,)),
        train=split,
        test=split,
        render=lambda z: torch.tanh(z)[:, :, None, None],
    )
    expected = (np.tanh(0.5) / 2) ** 2
    assert _score(context(data=data, model=Shifted(0.5))).value == pytest.approx(expected, rel=1e-5)
