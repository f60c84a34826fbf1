"""spread: whether samples vary as much as the data, in pixel space; needs no weights.

A coarse sign of collapse that any data and any model has: a generator that makes one image over
and over is near 0, whatever that image is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genbench import MetricContext, Score, real_samples
from genbench_metrics.collapse_settings import SpreadSettings

IMPLEMENTATION = "genbench 2"


class Spread:
    """``spread``: the total standard deviation of the samples over that of the test split.

    The total one is the root of the variances' sum over all values. 1 is right, and its floor.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: SpreadSettings | None = None) -> None:
        self._settings = settings or SpreadSettings()
        self._known: tuple[object, float] = (None, 0.0)

    def begin(self, context: MetricContext) -> None:
        """Get the spread of the test split; the same one is measured once."""
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
        """Take a minibatch of samples; what comes after the first ``n`` is left out."""
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
    """The total standard deviation of a stream, in float64: sums of values and of their squares.

    Bytes are taken as they are and points in their own units: only a ratio is told.
    """

    def __init__(self) -> None:
        self.n = 0
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None

    def update(self, samples: Tensor) -> None:
        """Take a minibatch (b, ...); an empty one changes nothing."""
        if not len(samples):
            return
        # bfloat16 and float16 lose the squares; mps has no float64
        x = samples.detach().flatten(1).cpu().double()
        self.n += len(x)
        self._sum = x.sum(0) if self._sum is None else self._sum + x.sum(0)
        squares = x.square().sum(0)
        self._squares = squares if self._squares is None else self._squares + squares

    @property
    def value(self) -> float:
        """The root of the variances' sum; 0 of fewer than two samples."""
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
