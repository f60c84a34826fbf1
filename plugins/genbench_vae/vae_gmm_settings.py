"""Settings of the VAE with a mixture on its codes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from genbench import DataSpec
from genbench_nets.ex_post_settings import ExPostSettings


class VAEGMMSettings(ExPostSettings):
    """A VAE with a small KL weight, and a mixture of Gaussians in place of its prior."""

    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli",
        description="p(x|code), summed over the pixels: bernoulli, or mse (the only one for "
        "points)",
    )
    beta: float = Field(
        0.05,
        ge=0,
        description="weight of the KL term; it may be below 1, because samples are not drawn "
        "from N(0, I)",
    )
    fit_to: Literal["sample", "mean"] = Field(
        "sample",
        description="codes that the mixture is fitted to: a sample of each image's posterior, "
        "or its mean",
    )

    def fitted(self, data: DataSpec) -> Self:
        """On the codes of another model, the squared error unless a likelihood is set."""
        if data.latent and "likelihood" not in self.model_fields_set:
            return self.model_copy(update={"likelihood": "mse"})
        return self

    def check(self, data: DataSpec) -> None:
        """Any shape by the mlp; points by squared error; codes that a mixture can be fitted to."""
        self.check_shape(data, "vae-gmm")
        self.check_bounded(data, "vae-gmm", "likelihood", self.likelihood)
        self.check_density(data, "vae-gmm")
