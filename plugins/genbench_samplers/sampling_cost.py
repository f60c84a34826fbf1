"""The cost of a draw: proposals, acceptance, and seconds per sample compared with plain draws."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from genbench import SampleContext, rendered, synchronize

_PLAIN_DRAWS = 3
"""Number of timed plain draws, including the first one for warm-up."""


class SamplingCost:
    """The diagnostics of one draw, valid at any time, since a draw may end early.

    ``proposals`` and ``accepted`` are counted by the sampler; ``samples`` is the number yielded.
    """

    def __init__(self, device: torch.device) -> None:
        self.proposals = self.accepted = self.samples = 0
        self.notes: dict[str, float] = {}
        self._device = device
        self._setup = self._drawing = self._plain = 0.0

    @contextmanager
    def setup(self) -> Iterator[None]:
        """Measure what is done once per draw: calibration and burn-in."""
        start = self._now()
        try:
            yield
        finally:
            self._setup += self._now() - start

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Measure the drawing, without the use of samples between two minibatches."""
        start = self._now()
        try:
            yield
        finally:
            self._drawing += self._now() - start

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
        figures = {"proposals": float(self.proposals), "setup_seconds": self._setup}
        if self.proposals:
            figures["acceptance"] = self.accepted / self.proposals
        if self._plain:
            figures["plain_seconds_per_sample"] = self._plain
        if self.samples:
            figures["seconds_per_sample"] = self._drawing / self.samples
            if self._plain:
                figures["cost_ratio"] = self._drawing / self.samples / self._plain
        return figures | self.notes

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()
