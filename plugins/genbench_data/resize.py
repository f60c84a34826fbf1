"""Resize images: bicubic with antialiasing, by Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, Any]
CHUNK = 256
"""The number of images that are decoded together, which bounds the memory."""


def resized(images: Pixels, size: int, *, white: float = 255.0) -> Iterator[Pixels]:
    """Yield grey images (N, h, w), 0 to ``white``, as uint8 (b, 1, size, size) in chunks.

    They are resized in floating point, then rounded once; bicubic overshoot is clamped.
    """
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        if chunk.shape[1:] == (size, size):
            yield _to_bytes(chunk, white)[:, None]
        else:
            frames = (Image.fromarray(image.astype(np.float32)) for image in chunk)
            side = (size, size)
            done = [np.asarray(f.resize(side, Image.Resampling.BICUBIC)) for f in frames]
            yield _to_bytes(np.stack(done), white)[:, None]


def _to_bytes(values: Pixels, white: float) -> Pixels:
    if values.dtype == np.uint8 and white == 255.0:
        return values
    scaled = np.rint(values.astype(np.float64) * (255.0 / white))
    return np.clip(scaled, 0, 255).astype(np.uint8)
