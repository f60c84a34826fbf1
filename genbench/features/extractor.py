"""Extractors convert samples to feature vectors for scores.

Every feature-based metric works with any `Extractor`. Its ``protocol`` is part of the score's
protocol, so that scores on different features are never ranked together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genbench.contracts import Data, Split
from genbench.engine.randomness import forked_rng
from genbench.pixels import as_float, to_uint8

PIXELS = 1024
"""The maximum dimension of pixel features."""


class Extractor(Protocol):
    """Samples -> feature vectors, deterministic and without gradients.

    ``protocol`` has all that the features depend on: extractor, weights (digest), layer, resize.
    """

    name: str
    dim: int
    protocol: Mapping[str, Any]

    def features(self, samples: Tensor) -> Tensor:
        """Features (b, dim) of uint8 images (b, C, H, W) or float points (b, D), on any device."""


class PixelFeatures:
    """The pixels themselves, in [0, 1]; point data is unchanged.

    An image with more than `PIXELS` values is averaged over boxes, by the smallest integer factor
    that suffices, so that its covariance can be estimated and decomposed.
    """

    name = "pixels"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._size: tuple[int, int] | None = None
        resize = "none"
        self.dim = math.prod(shape)
        if len(shape) == 3 and self.dim > PIXELS:
            self._size = _fitting(shape)
            self.dim = shape[0] * math.prod(self._size)
            resize = f"box average to {self._size[0]}x{self._size[1]}"
        unit = "in [0, 1]" if len(shape) == 3 else "as given"
        self.protocol: Mapping[str, Any] = {
            "extractor": self.name,
            "layer": f"values {unit} ({self.dim})",
            "weights": None,
            "resize": resize,
        }

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, dim)."""
        if samples.dim() == 4:
            samples = samples.to(torch.float32) / 255
            if self._size is not None:
                samples = F.adaptive_avg_pool2d(samples, self._size)
        return samples.to(torch.float32).flatten(1)


def resized(images: Tensor, size: int) -> Tensor:
    """uint8 (b, C, H, W) -> float32 in [0, 1], (b, C, size, size).

    Bilinear with antialiasing, in float: no rounding to bytes in between.
    """
    x = images.to(torch.float32) / 255
    if x.shape[-2:] == (size, size):
        return x
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=True)


def real_samples(
    data: Data,
    split: Split,
    *,
    device: torch.device,
    batch_size: int,
    rows: np.ndarray[Any, Any] | None = None,
) -> Iterator[Tensor]:
    """Real samples as a metric sees generated ones: uint8 images, or float points.

    ``rows`` selects samples of the split (default: all, in order). Samples of the training split
    are augmented as in training, so that samples of a model of binarised pixels are not compared
    with grey ones. The points of a latent space are rendered.
    """
    rows = np.arange(len(split.x)) if rows is None else rows
    for start in range(0, len(rows), batch_size):
        chosen = np.array(split.x[rows[start : start + batch_size]])
        x = torch.from_numpy(chosen).to(device)
        if split is data.train and data.augment is not None:
            x = _augmented(data.augment, x, seed=start)
        if data.render is not None:
            with torch.no_grad():
                x = to_uint8(data.render(as_float(x)))
        yield x


def _augmented(augment: Callable[[Tensor], Tensor], x: Tensor, *, seed: int) -> Tensor:
    """Augment with a fixed seed, since the result is cached for runs of all seeds."""
    with forked_rng(x.device), torch.no_grad():
        torch.manual_seed(seed)
        augmented = augment(as_float(x))
        return to_uint8(augmented) if x.dtype == torch.uint8 else augmented


def sample_shape(data: Data) -> tuple[int, ...]:
    """The shape of a sample as input of a metric, (C, H, W) or (D,)."""
    if data.render is None:
        return data.spec.shape
    one = next(real_samples(data, data.test, device=torch.device("cpu"), batch_size=1))
    return tuple(one.shape[1:])


def _fitting(shape: tuple[int, ...]) -> tuple[int, int]:
    channels, height, width = shape
    factor = 1
    while channels * math.ceil(height / factor) * math.ceil(width / factor) > PIXELS:
        factor += 1
    return math.ceil(height / factor), math.ceil(width / factor)
