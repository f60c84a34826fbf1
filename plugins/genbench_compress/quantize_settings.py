"""Settings of quantization; no torch here."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import CompressorSettings


class QuantizeSettings(CompressorSettings):
    """int8 weights and activations in the networks that make samples."""

    share: ClassVar[float] = 0.25

    mode: Literal["dynamic", "static", "aware"] = Field(
        "static",
        description="scale of the activations: measured in each sample (dynamic; linear layers "
        "only), measured once on samples of the prior (static), or learned with the weights in a "
        "training that rounds as int8 does (aware)",
    )
    calibration: int = Field(
        512,
        ge=1,
        le=1_000_000,
        description="samples of the prior that the scales are measured on (static, aware)",
    )
