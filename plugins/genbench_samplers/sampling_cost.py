"""The cost of a draw: proposals, acceptance, and seconds per sample compared with plain draws."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

import torch

from genbench import SampleContext, Settings, rendered, synchronize

_PLAIN_DRAWS = 3
"""Number of timed plain draws, including the first one for warm-up."""

S = TypeVar("S", bound=Settings)


class SamplingCost:
    """The diagnostics of one draw, valid at any time, since a draw may end early.

    ``proposals`` and ``accepted`` are counted by the sampler; ``samples`` is the number yielded.
    """

    def __init__(self, device: torch.device) -> None:
        self.proposals = self.accepted = self.samples = 0
        self.notes: dict[str, float] = {}
        self._device = device
        self._seconds = {"setup": 0.0, "drawing": 0.0}
        self._plain = 0.0

    def setup(self) -> AbstractContextManager[None]:
        """Measure what is done once per draw: calibration and burn-in."""
        return self._measured("setup")

    def drawing(self) -> AbstractContextManager[None]:
        """Measure the drawing, without the use of samples between two minibatches."""
        return self._measured("drawing")

    @contextmanager
    def _measured(self, what: str) -> Iterator[None]:
        start = self._now()
        try:
            yield
        finally:
            self._seconds[what] += self._now() - start

    def count(self, proposals: int, accepted: int) -> None:
        """Add to the numbers of proposals and of accepted ones."""
        self.proposals += proposals
        self.accepted += accepted

    def time_plain(self, model: Any, n: int, context: SampleContext) -> None:
        """Measure plain draws with the same minibatch size, with a separate generator."""
        size = min(n, context.batch_size)
        y = None if context.labels is None else context.labels[:size].to(context.device)
        generator = torch.Generator().manual_seed(0)
        seconds = []
        for _ in range(_PLAIN_DRAWS):
            start = self._now()
            with torch.no_grad():
                rendered(model, model.generate(model.prior(size, generator), y))
            seconds.append(self._now() - start)
        self._plain = min(seconds[1:]) / size

    def figures(self) -> dict[str, float]:
        """All diagnostics so far; times are in seconds."""
        figures = {"proposals": float(self.proposals), "setup_seconds": self._seconds["setup"]}
        if self.proposals:
            figures["acceptance"] = self.accepted / self.proposals
        if self._plain:
            figures["plain_seconds_per_sample"] = self._plain
        if self.samples:
            figures["seconds_per_sample"] = each = self._seconds["drawing"] / self.samples
            if self._plain:
                figures["cost_ratio"] = each / self._plain
        return figures | self.notes

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()


class CostedSampler(Generic[S]):
    """A sampler with settings, which reports the cost of its last draw."""

    def __init__(self, settings: S) -> None:
        self.settings = settings
        self._cost = SamplingCost(torch.device("cpu"))

    def diagnostics(self) -> Mapping[str, float]:
        """Diagnostics of the last draw."""
        return self._cost.figures()
