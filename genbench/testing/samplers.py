"""The laws of samplers."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Conditional, Embeds, SampleContext
from genbench.pixels import to_float
from genbench.registry import Registry
from genbench.settings import Settings
from genbench.testing.data import small_data
from genbench.testing.devices import on_the_device
from genbench.testing.oracle import LabelledOracle, LatentOracle, Oracle
from genbench.testing.parts import check_requirements
from genbench.testing.pretended import CUDA, pretended_cuda
from genbench.testing.subject import subject

CPU = torch.device("cpu")
SAMPLES = 96


def check_sampler(
    sampler: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    model: Any = None,
    registry: Registry | None = None,
) -> None:
    """Check that a sampler draws n samples of the right shape from its generator alone.

    It is tried on a model of images, on one with codes as ``h`` and on one that needs labels, as
    far as it can work with them; ``model`` replaces all of these.
    """
    part = subject("sampler", sampler, settings, registry)
    built = part.cls(part.settings)
    check_requirements(part, built.requires)
    oracles = (Oracle(), LatentOracle(), LabelledOracle()) if model is None else (model,)
    fitting = [o for o in oracles if all(part.known.fits(o, r) for r in built.requires)]
    assert fitting, (
        f"{part.name} requires {built.requires}, which no test model of genbench has; pass "
        "a model of your own: check_sampler(..., model=...)"
    )
    _check_repeats(part.name, built, fitting[0])
    for oracle in fitting:
        for n in (1, SAMPLES):
            _check_draw(part.name, built, oracle, n)
        _check_device(part.name, built, oracle)
    for name, value in built.diagnostics().items():
        assert isinstance(value, (int, float)), f"diagnostics()['{name}'] isn't a number: {value!r}"


def _check_repeats(name: str, sampler: Any, model: Any) -> None:
    x, again, other = (torch.cat(_draw(sampler, model, SAMPLES, seed)) for seed in (0, 0, 1))
    assert torch.equal(x, again), (
        f"{name} drew other samples from the same generator; use context.generator alone, "
        "and keep nothing from one draw to the next"
    )
    assert not torch.equal(x, other), f"{name} ignores context.generator"


def _check_draw(name: str, sampler: Any, model: Any, n: int) -> None:
    """The samples are as many as asked for, rendered, in range, and of the classes asked for."""
    drawn = _draw(sampler, model, n, seed=0)
    shape = tuple(getattr(model, "shape", drawn[0].shape[1:]))
    for x in drawn:
        assert tuple(x.shape[1:]) == shape, (
            f"{name} yields samples of shape {tuple(x.shape[1:])}; expected {shape}: generate "
            "returns h, so yield genbench.rendered(model, h)"
        )
    x = torch.cat(drawn)
    assert len(x) == n, f"asked for {n} samples, {name} drew {len(x)}"
    assert x.dtype == torch.float32, f"{name} yields {x.dtype}; expected float32"
    assert torch.isfinite(x).all(), f"{name} drew values that are not finite"
    assert float(x.abs().max()) <= 1, f"{name} drew values outside [-1, 1]"
    if isinstance(model, LabelledOracle):
        right = float((model.class_of(x) == _labels(n)).float().mean())
        assert right == 1, (
            f"{right:.0%} of the samples that {name} drew from a conditional model have the class "
            "that context.labels asks for; sample i must have the class context.labels[i]"
        )


def _check_device(name: str, sampler: Any, model: Any) -> None:
    """It draws from a model on a GPU; the generator and the labels are those of the CPU."""
    with pretended_cuda(), on_the_device(f"draw() of sampler '{name}'"):
        moved = deepcopy(model)
        moved.nets.to(CUDA)
        assert len(torch.cat(_draw(sampler, moved, 8, seed=0, device=CUDA))) == 8


def _labels(n: int) -> Tensor:
    return torch.arange(n) * 7 % 4


def _draw(sampler: Any, model: Any, n: int, seed: int, device: torch.device = CPU) -> list[Tensor]:
    data = small_data(tuple(getattr(model, "shape", (1, 8, 8))))

    def rows(count: int) -> Tensor:
        return torch.arange(count) % len(data.test.x)

    def real(count: int) -> Iterator[Tensor]:
        x = to_float(torch.from_numpy(data.test.x))[rows(count)].to(device)
        yield model.embed(x) if isinstance(model, Embeds) else x

    def real_labels(count: int) -> Tensor:
        return torch.from_numpy(data.test.y)[rows(count)]

    context = SampleContext(
        device=device,
        generator=torch.Generator().manual_seed(seed),
        batch_size=32,
        labels=_labels(n) if isinstance(model, Conditional) else None,
        real=real,
        training=real,
        real_labels=real_labels,
        training_labels=real_labels,
    )
    return list(sampler.draw(model, n, context))
