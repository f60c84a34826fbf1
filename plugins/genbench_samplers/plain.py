"""Plain (ancestral) sampling: z ~ prior, h = generate(z), x = render(h)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_samplers.settings import PlainSettings


class Plain:
    """Draws each sample independently from the model's own prior."""

    requires = ("generates",)

    def __init__(self, settings: PlainSettings | None = None) -> None:
        del settings  # there is nothing to set

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in all, (b, *shape)."""
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            y = context.labels
            y = None if y is None else y[start : start + size].to(context.device)
            with torch.no_grad():
                z = model.prior(size, context.generator)
                x: Tensor = rendered(model, model.generate(z, y))
            yield x

    def diagnostics(self) -> Mapping[str, float]:
        """Nothing to tell: every draw is kept."""
        return {}
