"""What a draw cost: proposals, acceptance, and seconds a sample beside those of plain draws."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from genbench import SampleContext, rendered, synchronize

_PLAIN_DRAWS = 3
"""Timed plain draws, the first of which only warms up."""


class SamplingCost:
    """The figures of one draw, whole at any moment: a sampler may be left early, or give up.

    ``proposals`` and ``accepted`` are the sampler's own count; ``samples`` those it handed out.
    """

    def __init__(self, device: torch.device) -> None:
        self.proposals = self.accepted = self.samples = 0
        self.notes: dict[str, float] = {}
        self._device = device
        self._setup = self._drawing = self._plain = 0.0

    @contextmanager
    def setup(self) -> Iterator[None]:
        """Time what is done once a draw: calibration, burn-in."""
        start = self._now()
        try:
            yield
        finally:
            self._setup += self._now() - start

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Time the drawing, not what others do with the samples between two minibatches."""
        start = self._now()
        try:
            yield
        finally:
            self._drawing += self._now() - start

    def count(self, proposals: int, accepted: int) -> None:
        """Add to the proposals and to those accepted."""
        self.proposals += proposals
        self.accepted += accepted

    def time_plain(self, model: Any, n: int, context: SampleContext) -> None:
        """Time plain draws in minibatches of the size that this draw has; seeds nothing else."""
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
        """All that is known by now, seconds in seconds."""
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
