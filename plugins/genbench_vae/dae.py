"""The denoising autoencoder (Vincent et al. 2008, ICML).

It reconstructs a sample from a copy that is corrupted at random in each step ("Extracting and
composing robust features with denoising autoencoders"; Gaussian noise and salt and pepper come from
its JMLR version of 2010). A sample is decoded from a draw of a mixture that is fitted to the codes
of the clean training set (`genbench_nets.ex_post`); the paper fits no density to them.

With ``walk`` > 0 the sample then takes that many steps of the Markov chain of Bengio et al. 2013,
"Generalized denoising auto-encoders as generative models", arXiv:1305.6663: corrupt, reconstruct.
We differ from it in three points: the chain starts at a decoded draw rather than at a training
sample; a step takes the mean of P(x | corrupted x), where the paper samples from it; and training
is without walkback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError
from genbench_nets.autoencoder_settings import AutoencoderSettings

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_nets.autoencoder import Autoencoder


Corruption = Literal["gaussian", "masking", "salt_pepper"]


class DAESettings(AutoencoderSettings):
    """An autoencoder that sees corrupted samples and learns the clean ones."""

    corruption: Corruption = Field(
        "gaussian",
        description="corruption of the input: added noise, black pixels, or black and white pixels",
    )
    level: float = Field(
        0.2,
        gt=0,
        description="standard deviation of the noise, x in [-1, 1] (gaussian), or share of the "
        "pixels (masking, salt_pepper)",
    )
    walk: int = Field(
        0, ge=0, le=100, description="steps of corruption and reconstruction that each sample takes"
    )

    @model_validator(mode="after")
    def _a_share_is_below_one(self) -> Self:
        if self.corruption != "gaussian" and self.level >= 1:
            raise ValueError(
                f"level is a share of the pixels with corruption={self.corruption}; set level < 1"
            )
        return self

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if the data doesn't suit the networks or the corruption."""
        if self.corruption == "salt_pepper" and not data.bounded:
            raise IncompatibleError(
                f"dae with corruption=salt_pepper takes values in [-1, 1], but those of "
                f"'{data.name}' are unbounded; set corruption=gaussian or masking"
            )
        self.check_autoencoder(data, "dae")


def dae(settings: DAESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder that learns to reconstruct what was corrupted."""
    import torch

    from genbench_nets.autoencoder import Autoencoder, Walk

    # Masked values become black, or 0 if values are unbounded.
    black = -1.0 if data.bounded else 0.0

    def corrupt(x: Tensor, noise: Tensor) -> Tensor:
        return corrupted(x, noise, settings.corruption, settings.level, black=black)

    def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
        """The error of the clean sample, reconstructed from the corrupted one."""
        seen = corrupt(x, torch.randn_like(x))
        return {"reconstruction": model.error(model.encode(seen)[0], x)}

    walk = Walk(steps=settings.walk, corrupt=corrupt) if settings.walk else None
    return Autoencoder(settings, data, objective, walk=walk)


def corrupted(x: Tensor, noise: Tensor, kind: Corruption, level: float, *, black: float) -> Tensor:
    """x (B, *shape) corrupted by noise ~ N(0, I) of its shape.

    ``gaussian``: ``level`` is the noise's standard deviation in the unit of x. ``masking``: each
    value becomes ``black`` with probability ``level``. ``salt_pepper``: with that probability it
    becomes ``black`` or ``-black``, either as likely (Vincent et al. 2010, JMLR 11).
    """
    import torch

    if kind == "gaussian":
        return x + level * noise
    share = torch.special.ndtr(noise)
    dark = torch.full_like(x, black)
    if kind == "masking":
        return torch.where(share < level, dark, x)
    x = torch.where(share < level / 2, dark, x)
    return torch.where(share > 1 - level / 2, -dark, x)
