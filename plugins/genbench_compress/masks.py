"""Single weights that are removed: they are set to 0, and training keeps them at 0.

The networks keep their shapes, so they need as much time and memory as before; the result only says
how many weights a model needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from genbench import Batch, Model, Phase, Terms


class Masks:
    """Keeps the weights of some nets at 0 that are 0 when training begins or resumes."""

    def __init__(self, model: Model, nets: Sequence[str]) -> None:
        self._model, self._nets = model, nets
        self._kept: list[tuple[Tensor, Tensor]] | None = None

    def forget(self) -> None:
        """Look for zeros again before the next step."""
        self._kept = None

    def held(self, phase: Phase) -> Phase:
        """A phase that sets the weights that were 0 back to 0 after each of its steps."""

        def loss(batch: Batch) -> Terms:
            if self._kept is None:
                self._kept = [(w, (w != 0).to(w.dtype)) for w in self._weights()]
            return phase.loss(batch)

        def after(terms: Terms) -> None:
            if phase.after is not None:
                phase.after(terms)
            for weight, kept in self._kept or ():
                weight.mul_(kept)

        return replace(phase, loss=loss, after=after)

    def _weights(self) -> list[Tensor]:
        return [
            weight.detach() for net in self._nets for weight in weights_of(self._model.nets[net])
        ]


def weights_of(net: nn.Module) -> list[nn.Parameter]:
    """The tensors that may lose single weights: all but biases and normalisations."""
    return [parameter for parameter in net.parameters() if parameter.dim() > 1]


def named_weights(model: Model, nets: Sequence[str]) -> Mapping[str, nn.Parameter]:
    """`weights_of` some nets, by their names in the model's nets."""
    return {
        f"{net}.{name}": parameter
        for net in nets
        for name, parameter in model.nets[net].named_parameters()
        if parameter.dim() > 1
    }


@torch.no_grad()
def remove(weight: nn.Parameter, removed: Tensor) -> None:
    """Set the weights of a mask to 0."""
    weight.masked_fill_(removed, 0.0)
