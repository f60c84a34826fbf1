"""stacked-mnist: three random digits as the channels of one image, a thousand modes.

Metz et al. 2017 (Unrolled GAN, arXiv:1611.02163), section 3.3.1, and Srivastava et al. 2017
(VEEGAN, arXiv:1705.07761): a mode is a number from 000 to 999. It is made of MNIST, or of the
digits that need no download. Training images are random triples; the test images have each number
equally often, so that the KL divergence from their labels is that from a uniform distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from genbench import Data, DataAccess, Split
from genbench_data.digits import Digits
from genbench_data.image_settings import DigitsSettings, MnistSettings, StackedMnistSettings
from genbench_data.split_cache import Decoding, splits
from genbench_data.torchvision_sets import Mnist

MODES = 1000
CHUNK = 1000
Array = np.ndarray[Any, Any]


class StackedMnist:
    """uint8 (3, size, size), with the label 100 a + 10 b + c for the digits of the channels."""

    def __init__(self, settings: StackedMnistSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Stack the digits once. Raises DataError if MNIST is asked for and missing."""
        settings = self.settings.fitted(access)
        single = self._single(settings, access)

        def stack() -> tuple[Decoding, Decoding]:
            random = [np.random.RandomState([settings.seed, part]) for part in range(2)]
            train = random[0].randint(MODES, size=settings.train, dtype=np.int64)
            test = random[1].permutation(np.repeat(np.arange(MODES), settings.each))
            return _stacked(single.train, train, random[0]), _stacked(single.test, test, random[1])

        train, test = splits(
            access,
            stack,
            what=settings.name,
            content=f"{single.train.digest} {single.test.digest}",
            doing="stacking",
            train=settings.train,
            each=settings.each,
            seed=settings.seed,
        )
        return Data(spec=settings.describe(access), train=train, test=test)

    def _single(self, settings: StackedMnistSettings, access: DataAccess) -> Data:
        if settings.source == "mnist":
            return Mnist(MnistSettings(size=settings.size, limit=0)).load(access)
        return Digits(DigitsSettings(size=settings.size)).load(access)


def _stacked(single: Split, modes: Array, random: np.random.RandomState) -> Decoding:
    """Random images of the digits of each mode."""
    assert single.y is not None
    of_digit = [np.flatnonzero(single.y == digit) for digit in range(10)]
    digits = np.stack((modes // 100, modes // 10 % 10, modes % 10), axis=1)
    sizes = np.array([len(rows) for rows in of_digit])
    chosen = random.randint(2**31, size=digits.shape) % sizes[digits]
    starts = np.cumsum(sizes) - sizes
    rows = np.concatenate(of_digit)[starts[digits] + chosen]

    def chunks() -> Iterator[Array]:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            yield np.asarray(single.x)[part.ravel(), 0].reshape(len(part), 3, *single.x.shape[2:])

    return Decoding(shape=(len(modes), 3, *single.x.shape[2:]), chunks=chunks(), labels=modes)
