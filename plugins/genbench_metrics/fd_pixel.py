"""fd_pixel: the Fréchet distance on raw pixels. It needs no weights, but is a weak measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from genbench import MetricContext, PixelFeatures, Score, sample_shape
from genbench_metrics.metric_settings import FdPixelSettings
from genbench_metrics.reference import DistanceToTest

FLOOR_DRAWS = 3
"""A single draw of the floor has a standard deviation of 4 %."""


class FdPixel:
    """Compares means and covariances of pixel values, for any data."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: FdPixelSettings | None = None) -> None:
        self._settings = settings or FdPixelSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the moments of the test split."""
        extractor = PixelFeatures(sample_shape(context.data))
        self._distance = DistanceToTest(
            context, extractor, n=self._settings.n, floor_draws=FLOOR_DRAWS
        )

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._distance.update(images)

    def result(self) -> Sequence[Score]:
        """One score, ``fd_pixel``."""
        return [self._distance.score("fd_pixel")]
