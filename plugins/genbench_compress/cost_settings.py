"""Settings of what a generator costs; no torch here."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class SizeSettings(Settings):
    """Settings of size: there is nothing to choose."""


class LatencySettings(Settings):
    """Settings of latency."""

    batch_sizes: tuple[int, ...] = Field(
        default=(1, 100), min_length=1, description="numbers of samples that are drawn at once"
    )
    runs: int = Field(
        default=20, ge=1, le=100_000, description="timed draws; the score is their median"
    )
