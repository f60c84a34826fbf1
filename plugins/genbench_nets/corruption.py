"""How a denoising autoencoder's input is corrupted, as a function of standard normal noise."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Corruption = Literal["gaussian", "masking", "salt_pepper"]


def corrupted(x: Tensor, noise: Tensor, kind: Corruption, level: float, *, black: float) -> Tensor:
    """x (B, *shape) corrupted by noise ~ N(0, I) of its shape.

    ``gaussian``: ``level`` is the noise's standard deviation in the unit of x. ``masking``: each
    value becomes ``black`` with probability ``level``. ``salt_pepper``: with that probability it
    becomes ``black`` or ``-black``, either as likely (Vincent et al. 2010, JMLR 11).
    """
    if kind == "gaussian":
        return x + level * noise
    share = torch.special.ndtr(noise)
    dark = torch.full_like(x, black)
    if kind == "masking":
        return torch.where(share < level, dark, x)
    x = torch.where(share < level / 2, dark, x)
    return torch.where(share > 1 - level / 2, -dark, x)
