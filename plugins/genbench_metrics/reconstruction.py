"""reconstruction: mean squared error of reconstructed test images, per pixel in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench import Conditional, MetricContext, Score, Split, samples_data, stored_as_float
from genbench_metrics.metric import ModelMetric
from genbench_metrics.metric_settings import ReconstructionSettings


class ReconstructionError(ModelMetric[ReconstructionSettings]):
    """The mean squared error between test images and the model's reconstructions without noise.

    Images are compared in [0, 1], so an error of 0.01 is a typical deviation of a tenth of the grey
    scale; nothing is rounded or clamped. Point data is compared in its own unit. For a model of
    latents, an image is encoded and decoded by both models and compared with the original, so that
    the score is comparable with that of other models.
    """

    requires = ("reconstructs",)
    defaults = ReconstructionSettings

    def begin(self, context: MetricContext) -> None:
        """Keep the context."""
        self._context, self._shown = context, samples_data(context.data)

    def result(self) -> Sequence[Score]:
        """One score, ``reconstruction``."""
        test = self._shown.test
        n = min(self._settings.n, len(test.x))
        total, values = torch.zeros((), dtype=torch.float64), 0
        for start in range(0, n, self._context.batch_size):
            error = self._squared_error(start, min(start + self._context.batch_size, n))
            total += error.double().sum().cpu() if error.device.type != "mps" else error.sum().cpu()
            values += error.numel()
        return [
            Score(
                metric="reconstruction",
                value=float(total) / values,
                n=n,
                direction="min",
                protocol={
                    "distance": "mean squared error",
                    "range": "[0, 1]" if self._are_images else "as given",
                    "n": n,
                    "reference": "test" if self._shown.render is None else "test, rendered",
                    "reference_n": n,
                    "reference_digest": test.digest,
                    "resize": "none",
                    "implementation": "genbench-reconstruction-1",
                },
            )
        ]

    @property
    def _are_images(self) -> bool:
        return self._context.data.spec.is_image or self._context.data.render is not None

    def _squared_error(self, start: int, stop: int) -> Tensor:
        """Squared errors of some test images, with one entry per value."""
        context, test = self._context, self._context.data.test
        x = self._samples(test, start, stop)
        y = None
        if isinstance(context.model, Conditional) and test.y is not None:
            y = torch.from_numpy(test.y[start:stop].copy()).to(context.device)
        with torch.no_grad():
            again = context.model.reconstruct(x, y)
            if context.data.render is not None:
                again = context.data.render(again)
            original = (
                x if self._shown is context.data else self._samples(self._shown.test, start, stop)
            )
            if self._shown.render is not None:
                original = self._shown.render(original)
        # The difference in [0, 1] is half of that in [-1, 1].
        scale = 0.5 if self._are_images else 1.0
        error: Tensor = ((again.float() - original) * scale).square()
        return error

    def _samples(self, test: Split, start: int, stop: int) -> Tensor:
        return stored_as_float(test.x[start:stop]).to(self._context.device)
