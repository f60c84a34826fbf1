"""Point data as splits, with one stream of random numbers per split and a content digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from genbench import Data, DataAccess, Split
from genbench_toy.toy_settings import PointSettings

Drawn = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]
"""Points (n, 2) and their labels (n,), or None."""

Draw = Callable[[np.random.RandomState, int], Drawn]


def drawn_data(settings: PointSettings, access: DataAccess, draw: Draw) -> Data:
    """Both splits, each from a separate stream, so that the size of one doesn't affect the other.

    The stream of numpy's RandomState is frozen (NEP 19), so a seed always gives the same points.
    """
    splits = [
        _split(*draw(np.random.RandomState([settings.seed, part]), size))
        for part, size in enumerate((settings.train, settings.test))
    ]
    return Data(spec=settings.describe(access), train=splits[0], test=splits[1])


def _split(points: np.ndarray[Any, Any], labels: np.ndarray[Any, Any] | None) -> Split:
    x = np.ascontiguousarray(points, dtype="<f4")
    y = None if labels is None else np.ascontiguousarray(labels, dtype="<i8")
    content = hashlib.sha256(x.tobytes() + (b"" if y is None else y.tobytes()))
    return Split(x=x, y=y, digest=content.hexdigest()[:32])
