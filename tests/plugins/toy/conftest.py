"""The toy data sets, small, and what a metric works with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genbench import Data, DataAccess, MetricContext
from genbench_toy.mixtures import Gaussians8, Gaussians25
from genbench_toy.swiss_roll import SwissRoll
from genbench_toy.toy_settings import Gaussians8Settings, Gaussians25Settings, SwissRollSettings

SETS = {
    "gaussians-25": (Gaussians25, Gaussians25Settings),
    "gaussians-8": (Gaussians8, Gaussians8Settings),
    "swiss-roll": (SwissRoll, SwissRollSettings),
}


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Data]:
    """Load a toy data set by name, 5,000 points to train on and 2,000 held out by default."""

    def load(name: str, **settings: object) -> Data:
        dataset, settings_class = SETS[name]
        access = DataAccess(root=tmp_path / "root", cache=tmp_path / "cache", offline=True)
        return dataset(settings_class(**{"train": 5_000, "test": 2_000, **settings})).load(access)

    return load


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., MetricContext]:
    """A MetricContext over data, for as many samples as it holds out by default."""

    def make(data: Data, n: int | None = None) -> MetricContext:
        return MetricContext(
            data=data,
            model=None,
            device=torch.device("cpu"),
            cache=tmp_path / "cache",
            n=n or len(data.test.x),
            offline=True,
        )

    return make
