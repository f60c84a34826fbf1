"""Settings of the metrics of a model's likelihood and latents (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class HeldOutSettings(Settings):
    """Settings of all metrics on held-out samples."""

    n: int = Field(
        default=10_000, ge=2, description="number of test samples to use, the first ones"
    )


class NllSettings(HeldOutSettings):
    """Settings of nll."""

    k: int = Field(
        default=1_000, ge=1, description="importance samples per image; published results use 5000"
    )


class ElboSettings(HeldOutSettings):
    """Settings of elbo."""

    samples: int = Field(default=1, ge=1, description="samples of the posterior per image")


class ActiveUnitsSettings(HeldOutSettings):
    """Settings of active_units."""

    threshold: float = Field(
        default=0.01, ge=0, description="minimum variance of the posterior mean of an active unit"
    )
