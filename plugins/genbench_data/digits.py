"""digits: the 1,797 handwritten digits of scikit-learn, which need no download.

They are 8x8 images with values 0 to 16, the test part of UCI's "Optical Recognition of Handwritten
Digits" (Alpaydin and Kaynak 1998). Here they are resized to ``size``, and each class is split by a
fixed permutation, with 1,437 training and 360 test images in total. They were written by 13 people,
and both splits have digits of each.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from genbench import Data, DataAccess
from genbench_data.binarize import KEY, drawn_once, load_as
from genbench_data.image_settings import DigitsSettings
from genbench_data.resize import resized
from genbench_data.split_cache import Decoding, splits

TEST = 360
SPLIT_SEED = 0
"""The seed of numpy's RandomState, which has a frozen stream (NEP 19); it is not a setting."""


class Digits:
    """The data set ``digits``, uint8 (1, size, size)."""

    def __init__(self, settings: DigitsSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Resize and split once; afterwards scikit-learn isn't imported."""
        return load_as(self.settings.binarize, lambda drawn: self._read(access, drawn))

    def _read(self, access: DataAccess, drawn: bool) -> Data:
        """The grey images, or their binarised draws."""
        train, test = splits(
            access,
            drawn_once(self._decode) if drawn else self._decode,
            what="digits",
            content=version("scikit-learn"),
            size=self.settings.size,
            **({"binarize": KEY} if drawn else {}),
        )
        return Data(spec=self.settings.describe(access), train=train, test=test)

    def _decode(self) -> tuple[Decoding, Decoding]:
        from sklearn.datasets import load_digits

        found = load_digits()
        held_out = _held_out(found.target)
        train = self._part(found.images[~held_out], found.target[~held_out])
        return train, self._part(found.images[held_out], found.target[held_out])

    def _part(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Decoding:
        size = self.settings.size
        return Decoding(
            shape=(len(images), 1, size, size),
            chunks=resized(images, size, white=16.0),
            labels=labels,
        )


def _held_out(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which samples are test samples, (N,) bool: a share of each class, TEST in total.

    The shares are rounded by largest remainder, so that the classes stay balanced.
    """
    exact = np.bincount(labels) * TEST / len(labels)
    counts = np.floor(exact).astype(int)
    rest = TEST - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    random = np.random.RandomState(SPLIT_SEED)
    held_out = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(counts):
        held_out[random.permutation(np.flatnonzero(labels == label))[:count]] = True
    return held_out
