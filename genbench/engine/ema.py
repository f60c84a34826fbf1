"""EMA: an exponential moving average of the weights, updated during training.

After each iteration ``shadow <- decay * shadow + (1 - decay) * weights`` for the parameters of the
nets that the model names in ``averaged``. Buffers (running statistics) are not averaged. There is
no warm-up of the decay: the average starts from the weights at the start of the stage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genbench.contracts import Model
from genbench.errors import PluginError, suggest


class EMA:
    """The EMA of a model's nets; with ``decay`` None, nothing is averaged, at no cost."""

    def __init__(self, model: Model, decay: float | None) -> None:
        self.decay = decay
        self._weights: dict[str, nn.Parameter] = {}
        for net in model.averaged if decay is not None else ():
            if net not in model.nets:
                raise PluginError(f"'averaged': unknown net '{net}'{suggest(net, model.nets)}")
            self._weights.update(
                (f"{net}.{name}", parameter)
                for name, parameter in model.nets[net].named_parameters()
                if parameter.is_floating_point()
            )
        self._shadow = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._followed: tuple[list[Tensor], list[Tensor]] = ([], [])

    @torch.no_grad()
    def follow(self, nets: Collection[str], *, reset: bool) -> None:
        """Average the nets that a stage updates; ``reset`` starts from their present weights."""
        names = [name for name in self._weights if name.partition(".")[0] in nets]
        shadows = [self._shadow[name] for name in names]
        weights = [self._weights[name].detach() for name in names]
        self._followed = (shadows, weights)
        if reset and names:
            torch._foreach_copy_(shadows, weights)

    def update(self) -> None:
        """Update the averages with the weights after an iteration."""
        shadows, weights = self._followed
        if shadows and self.decay is not None:
            with torch.no_grad():
                torch._foreach_lerp_(shadows, weights, 1.0 - self.decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Put the averages into the model; afterwards it has its own weights again, bitwise."""
        weights = [weight.detach() for weight in self._weights.values()]
        if not weights:
            yield
            return
        kept = [weight.clone() for weight in weights]
        torch._foreach_copy_(weights, list(self._shadow.values()))
        try:
            yield
        finally:
            torch._foreach_copy_(weights, kept)

    def become_views(self, shadow: Mapping[str, Tensor]) -> None:
        """Keep the averages in these tensors, which have their values, from now on."""
        self._shadow.update(shadow)

    def state(self) -> dict[str, Tensor]:
        """The averages by the names of the parameters in ``nets``; empty without EMA."""
        return dict(self._shadow)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the averages from `state`."""
        for name, shadow in self._shadow.items():
            shadow.copy_(state[name])
