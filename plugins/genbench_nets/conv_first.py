"""Convolutional networks for images if they fit, for models that need them for good samples."""

from __future__ import annotations

from typing import TypeVar

from genbench import DataSpec
from genbench_nets.adversarial_settings import SIDES, AdversarialSettings, has_side

S = TypeVar("S", bound=AdversarialSettings)

DESCRIPTION = (
    "fully connected (mlp), convolutional (conv: 28, 32 or 64 px) or for points; auto: conv for "
    "images where it fits and no widths are given, else mlp; points for points"
)
"""The description of the setting ``network``."""


def conv_where_it_fits(settings: S, data: DataSpec) -> S:
    """Replace ``network=auto`` by conv for images with a suitable side; else change nothing."""
    fits = data.bounded and has_side(data, SIDES)
    widths = settings.g_hidden or settings.d_hidden or settings.d_dropout
    if settings.network != "auto" or not fits or widths:
        return settings
    return settings.model_copy(update={"network": "conv"})
