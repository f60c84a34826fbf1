"""Settings of the conditional GAN."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field

from genbench import DataSpec, IncompatibleError, Preset, Training
from genbench_nets.adversarial_settings import AdversarialSettings, Network
from genbench_nets.conv_first import DESCRIPTION, conv_where_it_fits


class CGANSettings(AdversarialSettings):
    """Two networks that see a label beside their input; labelled data."""

    training: ClassVar[Training] = Training(images=600_000, batch_size=64)

    network: Network = Field("auto", description=DESCRIPTION)
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 less this"
    )

    def fitted(self, data: DataSpec) -> Self:
        """Convolutional networks where they fit; sizes and normalisation made concrete."""
        return super(CGANSettings, conv_where_it_fits(self, data)).fitted(data)

    def check(self, data: DataSpec) -> None:
        """Labels are there, and the networks fit."""
        if not data.classes:
            raise IncompatibleError(
                f"cgan needs labels, and '{data.name}' has none; choose a labelled data set, or a "
                "model without labels such as gan"
            )
        super().check(data)


PRESETS: tuple[Preset, ...] = ()
