"""All of a small latent space in one picture, as a run keeps it."""

from __future__ import annotations

from typing import Any

import torch

from genbench.contracts import Conditional, Data, Decodes, Encodes, Picture
from genbench.latent import walks
from genbench.latent.spaces import at_random, code_space, encoded

MEASURED = 500
"""Number of test samples that the spread of codes is measured on, if they have no prior."""

STEPS = 21


def code_map(model: Any, data: Data, device: torch.device) -> Picture | None:
    """What codes of one or two dimensions decode to: a line or a grid, as in `genbench traverse`.

    None for a model that has no codes to decode, or codes of more dimensions.
    """
    if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
        return None
    space = code_space(model, data, device)
    if space.size > 2:
        return None
    unit, scale = walks.plain_unit(space.shape), "linear"
    if space.law is None:
        codes, _, _ = encoded(model, data, at_random(data, MEASURED, 0), device)
        unit, scale = walks.unit_of(codes), "codes"
    values = walks.stops("linear", walks.usual_reach(space, scale), STEPS)
    labels = torch.arange(model.classes) if isinstance(model, Conditional) else None
    if space.size == 1:
        return walks.line(space, values, unit, labels)
    return walks.grid(space, values, unit, labels if labels is None else labels[:1])
