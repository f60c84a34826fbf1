"""Small data with structure: gratings for images, a ring of Gaussians for points."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from genbench.contracts import Data, DataSpec, Split

SHAPES: tuple[tuple[int, ...], ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2,))
"""The shapes that a check tries, the smallest image first."""


def small_data(
    shape: tuple[int, ...] = (1, 8, 8),
    classes: int | None = 4,
    *,
    train: int = 64,
    test: int = 32,
    seed: int = 0,
) -> Data:
    """A labelled data set of the given shape, a function of its arguments alone.

    (C, H, W): sinusoidal gratings, uint8, one direction a class, random phase. (D,): Gaussians of
    std 0.05 in [-1, 1], their means on a ring of radius 0.7 in the first two dimensions.
    """
    rng = np.random.default_rng(seed)
    name = f"small-{'x'.join(map(str, shape))}"
    spec = DataSpec(name=name, shape=shape, classes=classes, train=train, test=test)
    splits = [_split(shape, classes, size, rng) for size in (train, test)]
    return Data(spec=spec, train=splits[0], test=splits[1])


def _split(
    shape: tuple[int, ...], classes: int | None, size: int, rng: np.random.Generator
) -> Split:
    y = np.arange(size, dtype=np.int64) % (classes or 4)
    angle = y * np.pi / (classes or 4)
    x = _gratings(shape, angle, rng) if len(shape) == 3 else _ring(shape, 2 * angle, rng)
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    return Split(x=x, y=y if classes else None, digest=digest)


def _gratings(
    shape: tuple[int, ...], angle: np.ndarray[Any, Any], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    _, height, width = shape
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    along = np.cos(angle)[:, None, None] * columns + np.sin(angle)[:, None, None] * rows
    phase = rng.uniform(0, 2 * np.pi, len(angle))[:, None, None]
    waves = np.sin(4 * np.pi * along + phase)
    pixels = np.rint((waves + 1) * 127.5).astype(np.uint8)
    return np.broadcast_to(pixels[:, None], (len(angle), *shape)).copy()


def _ring(
    shape: tuple[int, ...], angle: np.ndarray[Any, Any], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    x = rng.normal(0, 0.05, (len(angle), *shape))
    x[:, 0] += 0.7 * np.cos(angle)
    x[:, 1:2] += 0.7 * np.sin(angle)[:, None]
    return x.clip(-1, 1).astype(np.float32)
