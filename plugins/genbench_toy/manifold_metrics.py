"""manifold: precision, recall and distance of images of triangles: their manifold is known.

Lucic et al. 2018 (arXiv:1711.10337), section 5: precision is the share of samples that lie near
the manifold, and recall the share of the manifold that is reached. We differ in the recall, which
needs samples alone: the four parameters have three equal ranges each, which makes 81 cells of one
probability, and a cell is reached by near samples that have their nearest triangle in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, Score, UsageError, real_samples, samples_data
from genbench_toy.toy_settings import ManifoldSettings
from genbench_toy.triangles import bounds, nearest

RANGES = 3
"""Ranges of each parameter."""
SHARE = 0.1
"""A cell is reached by this share of the samples that it has on average, and by one at least."""
CHUNK = 500


class Manifold:
    """Scores ``manifold_precision``, ``manifold_recall`` and ``manifold_distance``.

    The last one is the mean distance to the nearest triangle, the root of the mean square over
    pixels in [0, 1]. Floors are the scores of as many training images.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: ManifoldSettings | None = None) -> None:
        self._settings = settings or ManifoldSettings()

    def begin(self, context: MetricContext) -> None:
        """Raises UsageError if samples are not triangles."""
        data = samples_data(context.data)
        if data.spec.name != "triangles":
            raise UsageError(
                f"manifold measures the distance to triangles, and samples of '{data.spec.name}' "
                "are not triangles; use precision and recall"
            )
        self._n = min(self._settings.n, context.n)
        self._found: list[tuple[Tensor, Tensor]] = []
        rows = np.random.default_rng(0).permutation(len(data.train.x))[: self._n]
        real = real_samples(
            data, data.train, device=torch.device("cpu"), batch_size=CHUNK, rows=np.sort(rows)
        )
        self._floors = self._scores([_measured(images) for images in real])
        self._train, self._size = data.train, data.spec.shape[-1]

    def update(self, images: Tensor) -> None:
        """Add a minibatch; only the first ``n`` samples count."""
        missing = self._n - sum(len(cells) for cells, _ in self._found)
        if missing > 0:
            self._found += [_measured(part) for part in torch.split(images[:missing].cpu(), CHUNK)]

    def result(self) -> Sequence[Score]:
        """The three scores."""
        protocol = {
            "n": self._n,
            "manifold": f"triangles of {self._size} px",
            "near": self._settings.within,
            "cells": RANGES**4,
            "floor_digest": self._train.digest,
            "implementation": "genbench-manifold-1",
        }
        return [
            Score(
                metric=f"manifold_{name}",
                value=value,
                n=self._n,
                direction="min" if name == "distance" else "max",
                floor=self._floors[name],
                protocol=protocol,
            )
            for name, value in self._scores(self._found).items()
        ]

    def _scores(self, found: Sequence[tuple[Tensor, Tensor]]) -> Mapping[str, float]:
        cells, distances = (torch.cat(part) for part in zip(*found, strict=True))
        near = distances < self._settings.within
        counts = torch.bincount(cells[near], minlength=RANGES**4)
        least = max(1.0, SHARE * len(cells) / RANGES**4)
        return {
            "precision": float(near.double().mean()),
            "recall": float((counts >= least).double().mean()),
            "distance": float(distances.double().mean()),
        }


def _measured(images: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of the nearest triangle of each uint8 image (b, 1, size, size), and its distance."""
    found = nearest(images[:, 0].float() / 255)
    low, high = bounds(images.shape[-1])
    parts = ((found.parameters - low) / (high - low) * RANGES).long().clamp(0, RANGES - 1)
    cells = (parts * RANGES ** torch.arange(4)).sum(1)
    return cells, found.distances
