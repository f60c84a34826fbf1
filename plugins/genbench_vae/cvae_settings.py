"""Settings of the conditional VAE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, Training
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.labels import check_labelled


class CVAESettings(CoderSettings):
    """An encoder and a decoder that both see the label; labelled images."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli",
        description="p(x|z, y), summed over the pixels: bernoulli (a likelihood on black and white "
        "pixels, a loss on grey ones) or mse (a loss)",
    )
    z_dim: int = Field(
        10, ge=1, le=4096, description="size of the code, or its channels if it is a grid"
    )
    beta: float = Field(
        2.0,
        ge=0,
        description="weight of the KL term (beta-VAE); 1 gives the evidence lower bound itself",
    )
    label_first: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the steps over which the KL weight falls from 20 times its value, "
        "so that the model learns to use the label before the code",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")

    def latent_classes(self, data: DataSpec) -> int | None:
        """Every code is decoded with a label."""
        return data.classes

    def check(self, data: DataSpec) -> None:
        """Labels are there, values lie in [-1, 1], and the networks fit the shape."""
        check_labelled(data, "cvae", instead="vae")
        if not data.bounded:
            raise IncompatibleError(
                f"cvae takes images, but the values of '{data.name}' are unbounded; use cgan, or "
                "vae with likelihood=gaussian"
            )
        self.check_shape(data, "cvae")
