"""spread: whether samples vary as much as the data, in pixel space, without weights.

It is a coarse sign of collapse for any data and model: for a generator that always makes the same
image, it is near 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench import MetricContext, Score, real_samples
from genbench_metrics.metric import SampleMetric
from genbench_metrics.metric_settings import SpreadSettings

IMPLEMENTATION = "genbench 2"


class Spread(SampleMetric[SpreadSettings]):
    """``spread``: the total standard deviation of the samples over that of the test split.

    The total standard deviation is the square root of the sum of variances over all values. The
    best value is 1, which is the floor.
    """

    defaults = SpreadSettings
    _known: tuple[object, float] = (None, 0.0)

    def begin(self, context: MetricContext) -> None:
        """Compute the spread of the test split, once per split."""
        test = context.data.test
        if self._known[0] is not test:
            self._known = (test, _test_spread(context))
        self._n = min(self._settings.n or context.n, context.n)
        self._samples = TotalSpread()
        self._protocol = {
            "extractor": "values" if context.data.spec.is_image else "points",
            "implementation": IMPLEMENTATION,
            "reference": "test" if context.data.render is None else "test, rendered",
            "reference_n": len(test.x),
            "reference_digest": test.digest,
        }

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples; only the first ``n`` samples count."""
        self._samples.update(images[: self._n - self._samples.n])

    def result(self) -> Sequence[Score]:
        """One score, ``spread``."""
        return [
            Score(
                metric="spread",
                value=self._samples.value / max(self._known[1], 1e-12),
                n=self._samples.n,
                direction="floor",
                floor=1.0,
                protocol={**self._protocol, "n": self._samples.n},
            )
        ]


class TotalSpread:
    """The total standard deviation of samples, from float64 sums of values and of their squares.

    Bytes and points are not rescaled, since only a ratio is used.
    """

    def __init__(self) -> None:
        self.n = 0
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None

    def update(self, samples: Tensor) -> None:
        """Add a minibatch (b, ...), which may be empty."""
        if not len(samples):
            return
        # Squares need float64, which mps doesn't have.
        x = samples.detach().flatten(1).cpu().double()
        self.n += len(x)
        self._sum = x.sum(0) if self._sum is None else self._sum + x.sum(0)
        squares = x.square().sum(0)
        self._squares = squares if self._squares is None else self._squares + squares

    @property
    def value(self) -> float:
        """The square root of the sum of variances; 0 for fewer than two samples."""
        if self._sum is None or self._squares is None or self.n < 2:
            return 0.0
        mean = self._sum / self.n
        return float((self._squares / self.n - mean.square()).clamp_min(0).sum().sqrt())


def _test_spread(context: MetricContext) -> float:
    total = TotalSpread()
    with torch.no_grad():
        for samples in real_samples(
            context.data,
            context.data.test,
            device=context.device,
            batch_size=context.batch_size,
        ):
            total.update(samples)
    return total.value
