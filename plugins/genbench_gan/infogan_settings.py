"""Settings of InfoGAN."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataSpec, Training
from genbench_nets.adversarial_settings import AdversarialSettings, Network
from genbench_nets.conv_first import DESCRIPTION, conv_where_it_fits


class InfoGANSettings(AdversarialSettings):
    """A generator of noise and codes; labels are not looked at."""

    training: ClassVar[Training] = Training(images=600_000, batch_size=64)

    network: Network = Field("auto", description=DESCRIPTION)
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    prior: Literal["normal"] = Field(
        "normal", description="noise and codes are functions of z ~ N(0, I)"
    )
    categories: int = Field(
        10, ge=2, le=1000, description="number of values of the categorical code"
    )
    continuous: int = Field(2, ge=0, le=64, description="number of continuous codes in [-1, 1]")
    category_weight: float = Field(
        1.0, gt=0, description="lambda: weight of the categorical code's information"
    )
    continuous_weight: float = Field(
        0.1, gt=0, description="weight of the continuous codes' information"
    )
    q_hidden: int = Field(128, ge=1, le=4096, description="width of the hidden layer of Q")

    def fitted(self, data: DataSpec) -> Self:
        """Convolutional networks where they fit; sizes and normalisation made concrete."""
        return super(InfoGANSettings, conv_where_it_fits(self, data)).fitted(data)
