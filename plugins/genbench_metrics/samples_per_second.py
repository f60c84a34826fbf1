"""samples_per_second: the speed of plain sampling in large batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from genbench import Conditional, Score, cpu_name, rendered, synchronize
from genbench_metrics.feature_settings import SamplesPerSecondSettings
from genbench_metrics.metric import ModelMetric


class SamplesPerSecond(ModelMetric[SamplesPerSecondSettings]):
    """Measures prior, generate and render, without conversion to bytes or copies to the host.

    The score is the median of several runs after one untimed run (for lazy initialisation, caches
    and clocks), with the device synchronized. Its protocol names the device, so that speeds are
    only ranked on one machine; it doesn't account for other processes on that machine.
    """

    requires = ("generates",)
    defaults = SamplesPerSecondSettings

    def result(self) -> Sequence[Score]:
        """One score, ``samples_per_second``."""
        settings = self._settings
        self._seconds()
        seconds = median(self._seconds() for _ in range(settings.runs))
        n = settings.batch_size * settings.batches
        return [
            Score(
                metric="samples_per_second",
                value=n / seconds,
                n=n * settings.runs,
                direction="max",
                unit="1/s",
                protocol={
                    "batch_size": settings.batch_size,
                    "batches": settings.batches,
                    "runs": settings.runs,
                    "statistic": "median after one untimed run",
                    **_machine(self._context.device),
                    "torch": torch.__version__,
                    "implementation": "genbench-samples-per-second-1",
                },
            )
        ]

    def _seconds(self) -> float:
        """The seconds of one run."""
        size, device = self._settings.batch_size, self._context.device
        generator = torch.Generator().manual_seed(self._context.seed)
        model, labels = self._context.model, self._labels()
        synchronize(device)
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(self._settings.batches):
                rendered(model, model.generate(model.prior(size, generator), labels))
        synchronize(device)
        return time.perf_counter() - start

    def _labels(self) -> Tensor | None:
        model = self._context.model
        if not isinstance(model, Conditional):
            return None
        return torch.arange(self._settings.batch_size, device=self._context.device) % model.classes


def _machine(device: torch.device) -> Mapping[str, Any]:
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {
        "device": f"{device.type} {cpu_name()}",
        "threads": torch.get_num_threads(),
    }
