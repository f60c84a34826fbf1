"""The contractive autoencoder (Rifai et al. 2011, ICML).

Reconstruction plus lambda ||J||_F^2, J the Jacobian of the code with respect to the sample, a mean
over the batch ("Contractive auto-encoders: explicit invariance during feature extraction"). The
paper's encoder is one sigmoid layer, for which the norm has a closed form. Ours may be any network,
and the norm is exact by one backward pass for each value of the code (``jacobian=exact``), or an
unbiased estimate by a single pass along random signs (``estimate``; see
`genbench_nets.contraction`).

The paper ties the decoder's weights to the encoder's, which prevents a small code with large
weights in the decoder. Ours are not tied, so the code is measured in units of its standard
deviation over the batch (``relative``). A sample is decoded from a draw of a mixture that is fitted
to the codes (`genbench_nets.ex_post`); the paper fits none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec
from genbench_nets.autoencoder_settings import AutoencoderSettings

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_nets.autoencoder import Autoencoder


SMALL = 4
"""The largest code, in values, for which ``jacobian=auto`` is exact: each costs a backward pass."""


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
        description="computation of that norm: exact (a backward pass for each value of the code), "
        f"an unbiased estimate (one pass), or auto (exact for codes of {SMALL} values at most)",
    )

    @model_validator(mode="after")
    def _each_code_is_its_own_images(self) -> Self:
        if self.batch_norm:
            raise ValueError(
                "batch_norm=true makes a code depend on the other images of its minibatch, but the "
                "penalty needs the Jacobian of a single image; set batch_norm=false, or use ae"
            )
        return self

    def directions(self, data: DataSpec) -> int | None:
        """Random directions of the estimate; None where it is exact."""
        exact = self.jacobian == "exact" or (
            self.jacobian == "auto" and prod(self.latent_shape(data)) <= SMALL
        )
        return None if exact else 1

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if the data doesn't suit the networks."""
        self.check_autoencoder(data, "cae")


def cae(settings: CAESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder with a code that resists small changes of the sample."""
    from genbench_nets.autoencoder import Autoencoder
    from genbench_nets.contraction import contraction

    directions = settings.directions(data)

    def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
        """The reconstruction error, and lambda ||J||_F^2."""
        norm = contraction(
            model.nets["encoder"], x, directions=directions, relative=settings.relative
        )
        return {
            "reconstruction": model.error(model.encode(x)[0], x),
            "contraction": settings.contraction * norm,
        }

    model = Autoencoder(settings, data, objective, double_backward=True)
    model.mixes_samples = settings.relative
    return model
