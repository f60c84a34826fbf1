"""Plain (ancestral) sampling: z ~ prior, h = generate(z), x = render(h)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, evaluations, rendered
from genbench_samplers.proposals import asked_labels, propose

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_samplers.sampler_settings import PlainSettings


class Plain:
    """Draws each sample independently from the model's own prior."""

    requires = ("generates",)

    def __init__(self, settings: PlainSettings | None = None) -> None:
        del settings  # it has no settings
        self._nfe = 1

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in total, (b, *shape)."""
        self._nfe = evaluations(model)
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            with torch.no_grad():
                h = propose(model, size, asked_labels(context, start, size), context)
                x: Tensor = rendered(model, h)
            yield x

    def diagnostics(self) -> Mapping[str, float]:
        """The number of function evaluations of a sample."""
        return {"nfe": float(self._nfe)}
