"""fid: the Fréchet inception distance, on torch-fidelity's Inception-v3 and nothing else."""

from __future__ import annotations

from genbench import MetricContext, UsageError, sample_shape
from genbench_metrics.inception import InceptionFeatures, weights_file
from genbench_metrics.metric_settings import FidSettings
from genbench_metrics.reference import DistanceMetric, DistanceToTest

FLOOR_DRAWS = 1
"""A draw of the floor is as expensive as the score itself."""


class Fid(DistanceMetric[FidSettings]):
    """Heusel et al. (2017), 2048-d pooled features of the Inception-v3 of 2015.

    It takes about 0.1 s per image on one CPU core; the reference, which is the whole test split,
    is computed once and cached.
    """

    defaults = FidSettings
    name = "fid"

    def begin(self, context: MetricContext) -> None:
        """Prepare the reference. Raises DataError without weights, UsageError for points."""
        shape = sample_shape(context.data)
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise UsageError(
                f"fid needs grey or RGB images, but a sample of '{context.data.spec.name}' is "
                f"{'x'.join(map(str, shape))}; use fd_pixel"
            )
        weights = weights_file(self._settings.weights, offline=context.offline)
        extractor = InceptionFeatures(weights, device=context.device)
        self._distance = DistanceToTest(
            context, extractor, n=self._settings.n, floor_draws=FLOOR_DRAWS
        )
