"""The Fréchet distance of samples to the test split, with its floor.

fd_clf, fd_pixel and fid share it, and only differ in their extractor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import Extractor, MetricContext, Score, Split, cached_tensors, real_samples
from genbench_metrics.frechet import IMPLEMENTATION, Moments, frechet_distance
from genbench_metrics.metric import S, SampleMetric

ENOUGH = 10
"""With fewer samples per feature dimension, the bias of the distance is not negligible."""


class DistanceMetric(SampleMetric[S]):
    """A Fréchet distance to the test split: ``begin`` chooses the features."""

    name: str
    _distance: DistanceToTest
    _note = ""

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._distance.update(images)

    def result(self) -> Sequence[Score]:
        """One score, by the metric's name."""
        return [self._distance.score(self.name, note=self._note)]


class DistanceToTest:
    """Collects the moments of samples and compares them with those of the whole test split.

    The floor is the distance of as many real images from the training split to the same reference,
    as for a perfect generator. It has the same bias, since it has the same n. It is the mean over
    ``floor_draws`` draws, since a single draw is not precise [84-d features of digits with n = 360:
    17.7 to 49.6 in 30 draws, sd 23 %]. Reference and floor are cached.
    """

    def __init__(
        self,
        context: MetricContext,
        extractor: Extractor,
        *,
        n: int | None,
        floor_draws: int,
    ) -> None:
        self._context, self._extractor = context, extractor
        self._n = min(n or context.n, context.n)
        self._samples = Moments()
        self._folder = context.cache / "metrics"
        self.protocol: Mapping[str, Any] = {
            **extractor.protocol,
            "distance": "frechet",
            "implementation": IMPLEMENTATION,
            "n": self._n,
            "reference": "test" if context.data.render is None else "test, rendered",
            "reference_n": len(context.data.test.x),
            "reference_digest": context.data.test.digest,
        }
        self._reference = self._test_moments()
        self._floor, self._floor_n = self._real_against_real(floor_draws)

    def update(self, samples: Tensor) -> None:
        """Add a minibatch; only the first ``n`` samples count."""
        missing = self._n - self._samples.n
        if missing > 0:
            # Use the whole minibatch, so that other metrics on this extractor can share the pass.
            self._samples.update(self._extractor.features(samples)[:missing])

    def score(self, metric: str, *, note: str = "") -> Score:
        """The distance of all samples, with floor and protocol."""
        n = self._samples.n
        return Score(
            metric=metric,
            value=self._from_reference(self._samples),
            n=n,
            direction="min",
            floor=self._floor,
            protocol={**self.protocol, "n": n},
            note="; ".join(filter(None, (note, *self._warnings(n)))),
        )

    def _warnings(self, n: int) -> list[str]:
        dim, warnings = self._extractor.dim, []
        smaller = min(n, len(self._context.data.test.x))
        if smaller < ENOUGH * dim:
            warnings.append(
                f"n = {smaller} is below {ENOUGH} x {dim} dimensions: the value is biased upwards; "
                f"compare it with its floor, and only for equal n"
            )
        if self._floor_n < n:
            warnings.append(f"the floor has only {self._floor_n} real images (all of train)")
        return warnings

    def _test_moments(self) -> dict[str, Tensor]:
        """Mean (d,) and covariance (d, d) of the whole test split."""
        key = {name: value for name, value in self.protocol.items() if name != "n"}

        def build() -> dict[str, Tensor]:
            moments = self._moments(self._context.data.test, None)
            return {"mean": moments.mean, "covariance": moments.covariance}

        return cached_tensors(self._folder, "reference", key, build)

    def _real_against_real(self, draws: int) -> tuple[float, int]:
        """The floor, and the number of training images per draw."""
        train = self._context.data.train
        n = min(self._n, len(train.x))
        draws = draws if n < len(train.x) else 1
        key = {
            **self.protocol,
            "floor_digest": train.digest,
            "floor_n": n,
            "floor_draws": draws,
        }

        def build() -> dict[str, Tensor]:
            # The images don't depend on the run's seed, since the floor is part of the protocol.
            order = np.random.default_rng(0)
            rows = [np.sort(order.choice(len(train.x), n, replace=False)) for _ in range(draws)]
            floors = [self._from_reference(self._moments(train, drawn)) for drawn in rows]
            return {"floor": torch.tensor(floors, dtype=torch.float64)}

        kept = cached_tensors(self._folder, "floor", key, build)
        return float(kept["floor"].mean()), n

    def _from_reference(self, moments: Moments) -> float:
        mean, covariance = self._reference["mean"], self._reference["covariance"]
        four = (moments.mean, moments.covariance, mean, covariance)
        # Metal has no float64.
        device = self._context.device if self._context.device.type == "cuda" else "cpu"
        return frechet_distance(*(tensor.to(device) for tensor in four))

    def _moments(self, split: Split, rows: np.ndarray[Any, Any] | None) -> Moments:
        moments, context = Moments(), self._context
        samples = real_samples(
            context.data,
            split,
            device=context.device,
            batch_size=context.batch_size,
            rows=rows,
        )
        with torch.no_grad():
            for batch in samples:
                moments.update(self._extractor.features(batch))
        return moments
