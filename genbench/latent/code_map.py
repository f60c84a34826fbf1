"""All of a small latent space in one picture, as a run keeps it."""

from __future__ import annotations

from typing import Any

import torch

from genbench.contracts import Conditional, Data, Decodes, Encodes, Picture
from genbench.latent import walks
from genbench.latent.spaces import at_random, code_space, encoded
from genbench.latent.walks import PLANE_RANGE, RANGE, UNIFORM_RANGE

MEASURED = 500
"""Test samples that say how far codes lie apart where no prior does."""

STEPS = 21


def code_map(model: Any, data: Data, device: torch.device) -> Picture | None:
    """What codes of one or two dimensions decode to: a line, or a grid.

    As `genbench traverse` has it. None for a model without codes to decode, or with larger ones.
    """
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        return None
    space = code_space(model, data, device)
    if space.size > 2:
        return None
    unit, reach = walks.plain_unit(space.shape), PLANE_RANGE
    if space.law is None:
        codes, _, _ = encoded(model, data, at_random(data, MEASURED, 0), device)
        unit, reach = walks.unit_of(codes), RANGE
    elif space.law == "uniform":
        reach = UNIFORM_RANGE
    values = walks.stops("linear", reach, STEPS)
    labels = torch.arange(model.classes) if isinstance(model, Conditional) else None
    if space.size == 1:
        return walks.line(space, values, unit, labels)
    return walks.grid(space, values, unit, labels if labels is None else labels[:1])
