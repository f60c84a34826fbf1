"""fd_clf: the Fréchet distance on the features of a small classifier of the data set itself.

It is the default offline: it needs no download, and for small grey images it is a much better
measure than pixels. The code of MMD-GAN (Li et al. 2017) also scores MNIST with a LeNet.
"""

from __future__ import annotations

from genbench import MetricContext, UsageError, classifier_for, sample_shape
from genbench_metrics.metric_settings import FdClfSettings
from genbench_metrics.reference import DistanceMetric, DistanceToTest

FLOOR_DRAWS = 10
"""A draw of the floor is cheap here, and a single one has a standard deviation of 23 %."""


class FdClf(DistanceMetric[FdClfSettings]):
    """Uses 84-d features; weights are shipped for digits, mnist and fashion-mnist, else trained."""

    defaults = FdClfSettings
    name = "fd_clf"

    def begin(self, context: MetricContext) -> None:
        """Prepare classifier and reference. Raises UsageError without labelled images."""
        data, shape = context.data, sample_shape(context.data)
        if len(shape) != 3:
            raise UsageError(
                f"fd_clf needs images, but '{data.spec.name}' has points; use fd_pixel"
            )
        if data.train.y is None or (data.spec.classes or 0) < 2:
            raise UsageError(
                f"fd_clf needs a labelled data set, but '{data.spec.name}' has no labels; "
                f"use fd_pixel"
            )
        extractor, self._note = classifier_for(context, shape)
        self._distance = DistanceToTest(
            context, extractor, n=self._settings.n, floor_draws=FLOOR_DRAWS
        )
