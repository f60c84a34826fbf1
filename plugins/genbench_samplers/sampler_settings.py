"""The settings of the built-in samplers (no torch here)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from genbench import Settings


class PlainSettings(Settings):
    """Plain sampling has no settings."""


class JudgeSettings(Settings):
    """Settings of all samplers with a discriminator: how its score becomes a logit."""

    calibration: Literal["logistic", "isotonic"] | None = Field(
        "logistic",
        description="calibration of scores to logits on held-out data: logistic (a score + b), "
        "isotonic, or none",
    )
    calibration_samples: int = Field(
        2000,
        ge=20,
        description="number of held-out real samples for calibration, and of generated ones",
    )
    retrain: int = Field(
        0,
        ge=0,
        description="steps of further training for a copy of the discriminator, with a frozen "
        "generator",
    )
    retrain_lr: float = Field(2e-4, gt=0, description="learning rate of further training (Adam)")


class DRSSettings(JudgeSettings):
    """Discriminator rejection sampling."""

    gamma: float | None = Field(
        None,
        description="constant subtracted from F; 0 is exact; default: given by the percentile",
    )
    percentile: float | None = Field(
        None,
        ge=0,
        lt=100,
        description="percentile of F that gamma is set to; default: 80 unless gamma is set",
    )
    burn_in: int = Field(
        10_000, ge=1, description="generated samples for the initial estimate of the maximum"
    )
    eps: float = Field(1e-6, gt=0, description="small constant that keeps F finite at the maximum")
    max_proposals: int = Field(
        200, ge=1, description="maximum number of proposals per sample, on average"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Exact rejection may need e^10 proposals per sample, so it isn't the default."""
        has_gamma = given.get("gamma") is not None
        has_percentile = given.get("percentile") is not None
        if has_gamma and has_percentile:
            raise ValueError("gamma and percentile set the same value; give one of them")
        return given if has_gamma or has_percentile else {**given, "percentile": 80}


class MHSettings(JudgeSettings):
    """Metropolis-Hastings sampling with the generator as the proposal."""

    steps: int = Field(100, ge=1, description="proposals per chain; the paper uses 640")


class DDLSSettings(JudgeSettings):
    """Langevin sampling in the latent space."""

    calibration: Literal["logistic"] | None = Field(
        "logistic",
        description="calibration of scores to logits on held-out data: logistic (a score + b) or "
        "none",
    )
    eps: float | None = Field(
        None,
        gt=0,
        description="step size: eps/2 times the gradient, with noise of variance eps; default: "
        "tuned",
    )
    acceptance: float = Field(
        0.98, gt=0, lt=1, description="acceptance rate of MALA that eps is tuned to"
    )
    burn_in: int = Field(
        100, ge=1, description="steps of the 64 chains that tune eps, or test it for ULA"
    )
    steps: int = Field(100, ge=1, description="steps per chain")
    mala: bool = Field(
        True, description="accept or reject each step; false: ULA, with a bias that grows with eps"
    )


class TruncationSettings(Settings):
    """The truncation trick."""

    threshold: float = Field(1.0, gt=0, description="maximum absolute value of each component of z")
