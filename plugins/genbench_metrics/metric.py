"""What the metrics of this package share: their settings, and what they score."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from torch import Tensor

from genbench import MetricContext, Settings

S = TypeVar("S", bound=Settings)


class SampleMetric(Generic[S]):
    """A metric on samples, whatever model they are from; ``defaults`` is its settings class."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()
    defaults: type[S]

    def __init__(self, settings: S | None = None) -> None:
        self._settings = settings or self.defaults()


class ModelMetric(SampleMetric[S]):
    """A metric of the model itself, which ignores the samples."""

    uses: Literal["samples", "model"] = "model"

    def begin(self, context: MetricContext) -> None:
        """Keep the context."""
        self._context = context

    def update(self, images: Tensor) -> None:
        """Samples are not used: this metric scores the model itself."""
