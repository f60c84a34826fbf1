"""Settings of the metrics of a model's likelihood and latents (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class HeldOutSettings(Settings):
    """What every metric on held-out samples can be told."""

    n: int = Field(default=10_000, ge=2, description="use the first n samples of the test split")


class NllSettings(HeldOutSettings):
    """Settings of nll."""

    k: int = Field(default=1_000, ge=1, description="importance samples an image; published: 5000")


class ElboSettings(HeldOutSettings):
    """Settings of elbo."""

    samples: int = Field(default=1, ge=1, description="samples of the posterior an image")


class ActiveUnitsSettings(HeldOutSettings):
    """Settings of active_units."""

    threshold: float = Field(
        default=0.01, ge=0, description="a unit is active where its mean varies by more than this"
    )
