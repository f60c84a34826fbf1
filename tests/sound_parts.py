"""A sampler and a metric that keep the laws of the contract kit, to be broken in tests."""

from __future__ import annotations

from typing import Any

import torch

from genbench.contracts import Score


class Plain:
    """Sound, also for models that take labels and for models with a code as h."""

    requires: tuple[str, ...] = ("generates",)

    def __init__(self, settings: Any) -> None:
        pass

    def draw(self, model, n, context):
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            y = None if context.labels is None else context.labels[start : start + size]
            y = None if y is None else y.to(context.device)
            with torch.no_grad():
                yield self.sample(model, model.prior(size, context.generator), y)

    def sample(self, model, z, y):
        return model.render(model.generate(z, y))

    def diagnostics(self):
        return {}


class MeanDistance:
    """Sound: how far the mean image is from that of the test split."""

    uses = "samples"
    requires: tuple[str, ...] = ()
    direction: Any = "min"
    name = "m"

    def __init__(self, settings: Any) -> None:
        pass

    def begin(self, context):
        self.reference = torch.from_numpy(context.data.test.x).double().mean(0)
        self.total, self.n = torch.zeros_like(self.reference), 0

    def update(self, images):
        self.total += images.cpu().double().sum(0)
        self.n += len(images)

    def result(self):
        value = (self.total / self.n - self.reference).abs().mean().item()
        told = {"direction": self.direction, "protocol": {"reference": "test"}}
        return (Score(metric=self.name, value=value, n=self.n, **told),)
