"""Real images by class as a classifier sees them: references and floors of translations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import Extractor, MetricContext, Split, cached_tensors, real_samples
from genbench_metrics.frechet import IMPLEMENTATION, Moments, frechet_distance

Rows = np.ndarray[Any, np.dtype[np.int64]]


class RealClasses:
    """The labelled images of ``context.data``, test and training split.

    ``logits`` are those of the classifier that ``features`` belong to.
    """

    def __init__(
        self, context: MetricContext, features: Extractor, logits: Callable[[Tensor], Tensor]
    ) -> None:
        self._context, self._extractor, self._logits = context, features, logits

    def test_moments(self, y: int) -> Moments:
        """The features of all test images of a class."""
        test = self._context.data.test
        return self._moments(test, np.flatnonzero(np.asarray(test.y) == y))

    def floors(
        self, classes: tuple[int, ...], distances: tuple[int, ...], each: int
    ) -> Mapping[str, float]:
        """The scores that real images get, means over classes; cached.

        ``accuracy`` is that of test images over ``classes``. ``fd`` is the distance between
        ``each`` training images (or all, if there are fewer) and the test images of a class, over
        ``distances``.
        """
        context = self._context
        train, test = context.data.train, context.data.test
        key = {
            **self._extractor.protocol,
            "implementation": IMPLEMENTATION,
            "digests": [train.digest, test.digest],
            "rendered": context.data.render is not None,
            "each": each,
            "accuracy of": [int(y) for y in classes],
            "fd of": list(distances),
        }

        def build() -> dict[str, Tensor]:
            # The images don't depend on the run's seed, since the floor is part of the protocol.
            order = np.random.default_rng(0)
            fd = [
                distance(self._some(train, y, each, order), self.test_moments(y)) for y in distances
            ]
            right = [self._accuracy(test, int(y)) for y in classes]
            return {
                "accuracy": torch.tensor(right, dtype=torch.float64).nanmean(),
                "fd": torch.tensor(fd, dtype=torch.float64).mean(),
            }

        kept = cached_tensors(context.cache / "metrics", "floor", key, build)
        return {name: float(value) for name, value in kept.items()}

    def _some(self, split: Split, y: int, count: int, order: np.random.Generator) -> Moments:
        """The features of ``count`` random images of a class."""
        rows = order.permutation(np.flatnonzero(np.asarray(split.y) == y))[:count]
        return self._moments(split, np.sort(rows))

    def _moments(self, split: Split, rows: Rows) -> Moments:
        moments = Moments()
        for images in self._images(split, rows):
            moments.update(self._extractor.features(images))
        return moments

    def _accuracy(self, split: Split, y: int) -> float:
        """How often images of the class y are recognised; nan without any."""
        rows = np.flatnonzero(np.asarray(split.y) == y)
        right = sum(
            int((self._logits(images).argmax(1) == y).sum()) for images in self._images(split, rows)
        )
        return right / len(rows) if len(rows) else float("nan")

    def _images(self, split: Split, rows: Rows) -> Iterator[Tensor]:
        context = self._context
        return real_samples(
            context.data, split, device=context.device, batch_size=context.batch_size, rows=rows
        )


def distance(one: Moments, other: Moments) -> float:
    """The Fréchet distance of features, by their moments."""
    return frechet_distance(one.mean, one.covariance, other.mean, other.covariance)
