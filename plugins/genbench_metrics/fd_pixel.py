"""fd_pixel: the Fréchet distance on raw pixels. It needs no weights, but is a weak measure."""

from __future__ import annotations

from genbench import MetricContext, PixelFeatures, sample_shape
from genbench_metrics.metric_settings import FdPixelSettings
from genbench_metrics.reference import DistanceMetric, DistanceToTest

FLOOR_DRAWS = 3
"""A single draw of the floor has a standard deviation of 4 %."""


class FdPixel(DistanceMetric[FdPixelSettings]):
    """Compares means and covariances of pixel values, for any data."""

    defaults = FdPixelSettings
    name = "fd_pixel"

    def begin(self, context: MetricContext) -> None:
        """Compute the moments of the test split."""
        extractor = PixelFeatures(sample_shape(context.data))
        self._distance = DistanceToTest(
            context, extractor, n=self._settings.n, floor_draws=FLOOR_DRAWS
        )
