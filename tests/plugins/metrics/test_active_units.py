"""The laws of the active units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genbench import Data, DataSpec, Split
from genbench.testing import check_metric
from genbench_metrics.active_units import ActiveUnits
from genbench_metrics.likelihood_settings import ActiveUnitsSettings

SPREADS = (1.0, 0.5, 0.11, 0.09, 0.0, 0.0)
"""Standard deviations of the posterior means of six units; 0.1 is the border of 0.01."""


class PartlyCollapsed:
    """Encodes a point to itself, unit by unit, so the spread of a unit is the data's."""

    def __init__(self) -> None:
        self.nets = nn.ModuleDict()

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, torch.zeros_like(x)


def points(n: int = 4000) -> Data:
    x = np.random.default_rng(0).normal(3.0, 1.0, (n, len(SPREADS))).astype(np.float32)
    x = (x - x.mean(0)) / x.std(0) * np.asarray(SPREADS, np.float32) + 3
    split = Split(x=x, y=None, digest="units")
    return Data(spec=DataSpec(name="units", shape=(len(SPREADS),)), train=split, test=split)


class OnAGrid(PartlyCollapsed):
    """The same six units as a grid (1, 2, 3)."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, logvar = super().encode(x)
        return mean.view(-1, 1, 2, 3), logvar.view(-1, 1, 2, 3)


def count(context, model: type = PartlyCollapsed, **settings) -> tuple[float, str]:
    metric = ActiveUnits(ActiveUnitsSettings(**settings))
    metric.begin(context(model=model(), data=points()))
    (score,) = metric.result()
    assert score.protocol["threshold"] == settings.get("threshold", 0.01)
    return score.value, score.note


def test_units_with_a_mean_that_varies_by_more_than_a_hundredth_are_active(context):
    assert count(context) == (3.0, "of 6")


def test_each_value_of_a_grid_is_a_unit(context):
    assert count(context, OnAGrid) == (3.0, "of 6")


@pytest.mark.parametrize(("threshold", "active"), [(0.0, 4), (0.2, 2), (0.9, 1), (2.0, 0)])
def test_the_threshold_decides(context, threshold, active):
    assert count(context, threshold=threshold)[0] == active


def test_the_number_does_not_depend_on_the_minibatches(context):
    values = []
    for size in (7, 4000):
        metric = ActiveUnits()
        metric.begin(context(model=PartlyCollapsed(), data=points(), batch_size=size))
        values.append(metric.result()[0].value)
    assert values == [3.0, 3.0]


def test_active_units_keep_the_contract_of_metrics():
    check_metric(ActiveUnits, ActiveUnitsSettings(), model=PartlyCollapsed(), data=points(200))
