"""Settings and presets of the energy-based GAN, without and with the pulling-away term."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.energy_settings import SIZES, EnergySettings, Sizes


class EBGANSettings(EnergySettings):
    """An autoencoder for a discriminator; any shape of data, conv 28, 32 or 64 px."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=64)
    sizes: ClassVar[Sizes] = {
        "image": {**SIZES["image"], "margin": 10.0},
        "points": {**SIZES["points"], "margin": 1.0},
        "latents": {**SIZES["latents"], "margin": 3.0},
    }

    energy: Literal["norm", "mse"] = Field(
        "norm",
        description="error of the autoencoder: its norm over the values of a sample, or the "
        "mean square",
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="energy above which a generated sample has no loss; by default 10, 3 for "
        "latents, or 1 for points",
    )
    pull_away: float = Field(0.0, ge=0, description="weight of the pulling-away term on the codes")


class EBGANPTSettings(EBGANSettings):
    """The same with the pulling-away term."""

    pull_away: float = Field(0.1, gt=0, description="weight of the pulling-away term on the codes")


HSE2022 = {"margin": 10.0, "g_lr": 1e-3, "d_lr": 1e-3, "beta1": 0.9}

PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Zhao et al. 2017, section 4.1 (MNIST)",
        datasets=("mnist",),
        settings=HSE2022,
        note="the lecture gives losses, margin and rate; widths, batch and length are the bench's",
    ),
)
PT_PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Zhao et al. 2017, sections 2.4 and 4.1 (MNIST)",
        datasets=("mnist",),
        settings={**HSE2022, "pull_away": 0.1},
        note="the cosines are squared, as in the paper; the lecture prints them without the square",
    ),
)
