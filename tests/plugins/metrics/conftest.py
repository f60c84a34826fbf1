"""A small labelled data set and a context, for the tests of the metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genbench import Data, DataSpec, MetricContext, Split

Make = Callable[..., MetricContext]


def bars(n: int, shape: tuple[int, int, int], seed: int) -> Split:
    """Images of a bright bar, upright (class 0) or lying (class 1), at a random place."""
    order = np.random.default_rng(seed)
    channels, height, width = shape
    x = order.integers(0, 60, (n, channels, height, width), dtype=np.uint8)
    y = order.integers(0, 2, n)
    for image, label in zip(x, y, strict=True):
        place = order.integers(2, min(height, width) - 2)
        if label:
            image[:, place] = 250
        else:
            image[:, :, place] = 250
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    return Split(x=x, y=y, digest=digest)


@pytest.fixture
def context(tmp_path: Path) -> Make:
    """Make a MetricContext over bars; keywords replace its fields or those of its data."""

    def make(*, shape: tuple[int, int, int] = (1, 16, 16), **changes: Any) -> MetricContext:
        of_data = {
            name: changes.pop(name) for name in ("train", "test", "render") if name in changes
        }
        spec = DataSpec(name=changes.pop("name", "bars"), shape=shape, classes=2)
        parts = {"train": bars(300, shape, 1), "test": bars(120, shape, 2), **of_data}
        data = changes.pop("data", None) or Data(spec=spec, **parts)
        fields: dict[str, Any] = {
            "model": None,
            "device": torch.device("cpu"),
            "cache": tmp_path / "cache",
            "n": len(data.test.x),
            "offline": True,
            **changes,
        }
        return MetricContext(data=data, **fields)

    return make
