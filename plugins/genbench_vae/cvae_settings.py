"""Settings of the conditional VAE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, Training
from genbench_nets.coder_settings import LabelledCoderSettings
from genbench_nets.labels import check_labelled


class CVAESettings(LabelledCoderSettings):
    """An encoder and a decoder that both see the label; labelled images."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli",
        description="p(x|z, y), summed over the pixels: bernoulli (a likelihood on black and white "
        "pixels, a loss on grey ones) or mse (a loss)",
    )
    beta: float = Field(
        2.0,
        ge=0,
        description="weight of the KL term (beta-VAE); 1 gives the evidence lower bound itself",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")

    def check(self, data: DataSpec) -> None:
        """Labels are there, values lie in [-1, 1], and the networks fit the shape."""
        check_labelled(data, "cvae", instead="vae")
        if not data.bounded:
            raise IncompatibleError(
                f"cvae takes images, but the values of '{data.name}' are unbounded; use cgan, or "
                "vae with likelihood=gaussian"
            )
        self.check_shape(data, "cvae")
