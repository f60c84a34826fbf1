"""The settings of the built-in samplers (no torch here)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from genbench import Settings


class PlainSettings(Settings):
    """Plain sampling has nothing to set."""


class JudgeSettings(Settings):
    """How a discriminator's score becomes a logit: what all samplers that ask one share."""

    calibration: Literal["logistic", "isotonic"] | None = Field(
        "logistic",
        description="score -> logit, on held-out data: a score + b, isotonic, or as it is (none)",
    )
    calibration_samples: int = Field(
        2000, ge=20, description="held-out real samples for it, and as many generated ones"
    )
    retrain: int = Field(
        0, ge=0, description="steps that a copy of the discriminator first trains on, G frozen"
    )
    retrain_lr: float = Field(2e-4, gt=0, description="learning rate of its Adam")


class DRSSettings(JudgeSettings):
    """Discriminator rejection sampling."""

    gamma: float | None = Field(
        None, description="what is taken off F: 0 is exact; by default it goes by the percentile"
    )
    percentile: float | None = Field(
        None, ge=0, lt=100, description="gamma is this percentile of F; 80 where no gamma is given"
    )
    burn_in: int = Field(10_000, ge=1, description="generated samples for the first maximum")
    eps: float = Field(1e-6, gt=0, description="keeps F finite at the maximum")
    max_proposals: int = Field(
        200, ge=1, description="proposals for each sample, on average, before it gives up"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Exact rejection by a trained network takes up to e^10 proposals, so it is to be asked."""
        has_gamma = given.get("gamma") is not None
        has_percentile = given.get("percentile") is not None
        if has_gamma and has_percentile:
            raise ValueError("gamma and percentile are two ways to set one number; give one")
        return given if has_gamma or has_percentile else {**given, "percentile": 80}


class MHSettings(JudgeSettings):
    """Metropolis-Hastings sampling with the generator as the proposal."""

    steps: int = Field(100, ge=1, description="proposals that a chain looks at; 640 in the paper")


class DDLSSettings(JudgeSettings):
    """Langevin sampling in the latent space."""

    calibration: Literal["logistic"] | None = Field(
        "logistic", description="score -> logit, on held-out data: a score + b, or as it is (none)"
    )
    eps: float | None = Field(
        None, gt=0, description="step: (eps/2) of the gradient, noise of var eps; default: tuned"
    )
    acceptance: float = Field(
        0.98, gt=0, lt=1, description="share of accepted steps of MALA that eps is tuned to"
    )
    burn_in: int = Field(
        100, ge=1, description="steps of 64 chains that tune eps, or that test what ULA leaves out"
    )
    steps: int = Field(100, ge=1, description="steps of each chain")
    mala: bool = Field(
        True, description="accept or reject each step; false: ULA, whose bias grows with eps"
    )


class TruncationSettings(Settings):
    """The truncation trick."""

    threshold: float = Field(
        1.0, gt=0, description="each component of z is drawn from the prior within [-t, t]"
    )
