"""ct and authenticity: whether samples are copies of training images.

Both compare distances to nearest training images: those of samples with those of test images (ct),
or with those among training images (authenticity).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from genbench import MetricContext, Score, UsageError
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import AuthenticitySettings, CopyingSettings
from genbench_metrics.metric import S
from genbench_metrics.neighbours import Neighbours, neighbours

FITTED = 10_000
"""Training images, the first ones, that the cells are fitted to."""


class _Copying(FeatureMetric[S]):
    """The features of samples, and the training images nearest to any points."""

    def _collect(self, metric: str, context: MetricContext, settings: Any) -> None:
        chosen = features_for(metric, context, settings)
        self._collected = Collected(metric, context, chosen, n=settings.n)
        self._train = context.data.train
        self._held_out = min(self._collected.n, len(context.data.test.x))
        self._protocol: dict[str, Any] = {
            **self._collected.reference,
            "reference_n": self._held_out,
            "train_digest": self._train.digest,
        }

    def _nearest(self, queries: Tensor, k: int = 1) -> Neighbours:
        return neighbours(queries, self._collected.chunks(self._train), k)


class Copying(_Copying[CopyingSettings]):
    """C_T of Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, section 4.

    In each cell of the space, a Mann-Whitney test compares the distances of samples and of test
    images to the training images of that cell; C_T is the mean of its z-scores, weighted by the
    test images in the cells. It is about N(0, 1) for samples from the data's own law; below -3,
    samples are copies, and far above 0 they are unlike the data. Cells are those of k-means.
    """

    defaults = CopyingSettings

    def begin(self, context: MetricContext) -> None:
        """Fit the cells, and get the distances of the test images."""
        self._collect("ct", context, self._settings)
        fitted = next(self._collected.chunks(self._train))[:FITTED]
        cells = max(1, min(self._settings.cells, self._held_out // 50, len(fitted)))
        self._means = KMeans(cells, random_state=0, n_init=1).fit(fitted.numpy())
        test = self._collected.test[: self._held_out]
        self._of_test = self._in_cells(test)
        self._protocol |= {
            "cells": cells,
            "fewest_in_a_cell": self._settings.fewest,
            "distance": "euclidean, to the nearest training image of the cell",
            "implementation": "genbench-ct-1",
        }

    def result(self) -> Sequence[Score]:
        """One score, ``ct``; best near 0."""
        scores, weights = [], []
        samples = self._in_cells(self._collected.samples)
        for made, held_out in zip(samples, self._of_test, strict=True):
            if len(made) >= self._settings.fewest and len(held_out):
                scores.append(rank_score(made, held_out))
                weights.append(len(held_out))
        if not scores:
            raise UsageError(
                f"ct needs a cell with {self._settings.fewest} samples; score more samples, or set "
                "metric.ct.fewest"
            )
        covered = sum(weights) / self._held_out
        value = sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights)
        note = f"{len(scores)} of {len(samples)} cells have samples, {covered:.0%} of test images"
        score = self._collected.score(
            value, self._protocol, direction="floor", floor=0.0, notes=(note,)
        )
        return [score]

    def _in_cells(self, points: Tensor) -> list[Tensor]:
        """The distances of points to training images, by the cell of the point."""
        cells = torch.from_numpy(self._means.predict(points.numpy())).long()
        found = torch.full((len(points),), torch.inf)
        for chunk in self._collected.chunks(self._train):
            of_chunk = torch.from_numpy(self._means.predict(chunk.numpy())).long()
            for cell in range(self._means.n_clusters):
                ours, theirs = cells == cell, chunk[of_chunk == cell]
                if ours.any() and len(theirs):
                    near = neighbours(points[ours], [theirs], 1).distances[:, 0]
                    found[ours] = torch.minimum(found[ours], near)
        return [found[cells == cell] for cell in range(self._means.n_clusters)]


class Authenticity(_Copying[AuthenticitySettings]):
    """The share of samples that are no copies: Alaa et al. 2022, arXiv:2102.08921, section 4.

    A sample is authentic if it is farther from its nearest training image than that image is from
    its own nearest neighbour in the training set. The floor is that of test images; below it,
    samples are copies, and above it they are farther away than real images are.
    """

    defaults = AuthenticitySettings

    def begin(self, context: MetricContext) -> None:
        """Get the floor."""
        self._collect("authenticity", context, self._settings)
        self._protocol |= {
            "distance": "euclidean, to the nearest training image and from that to the next",
            "implementation": "genbench-authenticity-1",
        }
        test = self._collected.test[: self._held_out]
        floor = self._collected.kept(
            "authenticity",
            {**self._protocol, "n": self._held_out},
            lambda: torch.tensor(self._authentic(test), dtype=torch.float64),
        )
        self._floor = float(floor)

    def result(self) -> Sequence[Score]:
        """One score, ``authenticity``; best near that of held-out images."""
        value = self._authentic(self._collected.samples)
        floor = self._floor
        return [self._collected.score(value, self._protocol, direction="floor", floor=floor)]

    def _authentic(self, points: Tensor) -> float:
        nearest = self._nearest(points)
        places, positions = np.unique(nearest.places[:, 0].numpy(), return_inverse=True)
        training = self._at(torch.from_numpy(places))
        # The first neighbour of a training image is the image itself.
        gaps = self._nearest(training, 2).distances[:, 1]
        return float((nearest.distances[:, 0] > gaps[torch.from_numpy(positions)]).double().mean())

    def _at(self, places: Tensor) -> Tensor:
        """The features of the training images at sorted places."""
        parts, start = [], 0
        for chunk in self._collected.chunks(self._train):
            inside = (places >= start) & (places < start + len(chunk))
            parts.append(chunk[places[inside] - start])
            start += len(chunk)
        return torch.cat(parts)


def rank_score(samples: Tensor, held_out: Tensor) -> float:
    """The z-score of the Mann-Whitney U of distances: negative if those of samples are smaller."""
    n, m = len(samples), len(held_out)
    ordered = held_out.sort().values
    below = torch.searchsorted(ordered, samples.contiguous(), right=False)
    at_most = torch.searchsorted(ordered, samples.contiguous(), right=True)
    larger = float((below + at_most).double().sum()) / 2
    return (larger - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
