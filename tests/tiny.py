"""A model, a metric and data that are evaluated within milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genbench.contracts import Data, DataSpec, MetricContext, Score, Split
from genbench.evaluation import evaluate
from genbench.registry import Registry
from genbench.spec import Part

CPU = torch.device("cpu")
SHAPE = (1, 6, 6)


class Tiny(nn.Module):
    """A generator of 6x6 images that also reconstructs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(4, 36)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 4, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(self.net(z)).view(-1, *SHAPE)

    def render(self, h: Tensor) -> Tensor:
        return h

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x


class Seen:
    """A metric that keeps what it saw."""

    uses = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, *, draws_at_begin: int = 0) -> None:
        self.draws_at_begin = draws_at_begin

    def begin(self, context: MetricContext) -> None:
        self.context, self.batches = context, list[Tensor]()
        torch.rand(self.draws_at_begin)

    def update(self, images: Tensor) -> None:
        assert not torch.is_grad_enabled()
        self.batches.append(images)

    def result(self) -> Sequence[Score]:
        images = torch.cat(self.batches)
        return [Score(metric="seen", value=float(images.float().mean()), n=len(images))]

    @property
    def images(self) -> Tensor:
        return torch.cat(self.batches)


def tiny_data() -> Data:
    """90 and 60 random images of three classes."""
    order = np.random.default_rng(0)

    def split(n: int) -> Split:
        x = order.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
        return Split(x=x, y=np.arange(n) % 3, digest=f"{n} images")

    spec = DataSpec(name="tiny", shape=SHAPE, classes=3)
    return Data(spec=spec, train=split(90), test=split(60))


def plain() -> Any:
    """The plain sampler."""
    return Registry.from_environment().target("sampler", "plain")()


def evaluated(model: Any, data: Data, metrics: dict[str, Any], **changes: Any) -> Any:
    """The records of an evaluation; ``changes`` are other arguments of it."""
    arguments: dict[str, Any] = {
        "samplers": [(Part(name="plain"), plain())],
        "device": CPU,
        "n": None,
        "seed": 0,
        "cache": Path("unused"),
        "offline": True,
        "epoch": 3,
        "stage": "train",
        "batch_size": 25,
        **changes,
    }
    parts = [(Part(name=name), metric) for name, metric in metrics.items()]
    return list(evaluate(model, data, metrics=parts, **arguments))
