"""Settings of the denoising autoencoder."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError
from genbench_nets.autoencoder_settings import AutoencoderSettings


class DAESettings(AutoencoderSettings):
    """An autoencoder that sees corrupted samples and learns the clean ones."""

    corruption: Literal["gaussian", "masking", "salt_pepper"] = Field(
        "gaussian",
        description="what is done to the input: noise added, pixels made black, or black and white",
    )
    level: float = Field(
        0.2,
        gt=0,
        description="standard deviation of the noise, x in [-1, 1] (gaussian), or share of the "
        "pixels (masking, salt_pepper)",
    )
    walk: int = Field(
        0, ge=0, le=100, description="steps of corrupting and reconstructing that a sample takes"
    )

    @model_validator(mode="after")
    def _a_share_is_below_one(self) -> Self:
        if self.corruption != "gaussian" and self.level >= 1:
            raise ValueError(
                f"level is a share of the pixels with corruption={self.corruption}; set level < 1"
            )
        return self

    def check(self, data: DataSpec) -> None:
        """As the autoencoder; salt and pepper are of pixels."""
        if self.corruption == "salt_pepper" and not data.bounded:
            raise IncompatibleError(
                f"dae with corruption=salt_pepper takes values in [-1, 1], and those of "
                f"'{data.name}' lie anywhere; set corruption=gaussian or masking"
            )
        self.check_autoencoder(data, "dae")
