"""Settings of the contractive autoencoder."""

from __future__ import annotations

from math import prod
from typing import Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec
from genbench_nets.autoencoder_settings import AutoencoderSettings

SMALL = 4
"""Values in a code up to which ``jacobian=auto`` is exact: each one costs a backward pass."""


class CAESettings(AutoencoderSettings):
    """An autoencoder with a penalty on the Jacobian of its encoder."""

    contraction: float = Field(
        1.0, ge=0, description="weight of the squared Frobenius norm of the code's Jacobian"
    )
    relative: bool = Field(
        True, description="measure the code in units of its standard deviation over the batch"
    )
    jacobian: Literal["auto", "exact", "estimate"] = Field(
        "auto",
        description="that norm: exact (a backward pass for each value of the code), an unbiased "
        f"estimate (one pass), or auto (exact for codes of {SMALL} values at most)",
    )

    @model_validator(mode="after")
    def _each_code_is_its_own_images(self) -> Self:
        if self.batch_norm:
            raise ValueError(
                "batch_norm=true makes a code depend on the other images of its minibatch, and the "
                "penalty is on the Jacobian of one; set batch_norm=false, or use ae"
            )
        return self

    def directions(self, data: DataSpec) -> int | None:
        """Random directions of the estimate; None where it is exact."""
        exact = self.jacobian == "exact" or (
            self.jacobian == "auto" and prod(self.latent_shape(data)) <= SMALL
        )
        return None if exact else 1

    def check(self, data: DataSpec) -> None:
        """As the autoencoder."""
        self.check_autoencoder(data, "cae")
