"""The settings of the samplers over time (no torch here)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genbench import Settings


class TimeSettings(Settings):
    """The times at which the model is evaluated."""

    schedule: Literal["own", "uniform", "edm"] = Field(
        "own",
        description="times of the steps: the model's own, evenly spaced, or closer and closer to "
        "the sample (edm: eq. 5 of Karras et al. 2022)",
    )
    rho: float = Field(
        7.0,
        ge=1,
        le=100,
        description="spacing of the times: the larger, the denser near the sample (edm)",
    )


class ODESettings(TimeSettings):
    """Deterministic sampling."""

    solver: Literal["euler", "midpoint", "heun"] | None = Field(
        None,
        description="euler (1 evaluation per step), midpoint (2) or heun (2, and 1 in the last "
        "step); default: the model's own",
    )
    steps: int | None = Field(
        None, ge=1, le=100_000, description="number of steps; default: the model's own"
    )


class SDESettings(TimeSettings):
    """Stochastic sampling."""

    steps: int = Field(
        100,
        ge=1,
        le=100_000,
        description="number of steps, each with one evaluation; ddpm's paper takes 1000",
    )
    eta: float = Field(
        1.0,
        ge=0,
        le=1,
        description="amount of new noise in a step: 1 is that of DDPM, 0 none (DDIM)",
    )
