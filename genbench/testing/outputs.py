"""The laws of what a model gives: the range of its samples, their rows, the law of its prior."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import (
    Data,
    Decodes,
    Denoises,
    Encodes,
    Generates,
    HasDensity,
    HasLikelihood,
    HasVelocity,
    Reconstructs,
    Translates,
    prior_kind,
    rendered,
)
from genbench.errors import UsageError
from genbench.testing.paths import noised
from genbench.testing.subject import Subject
from genbench.testing.trial import (
    CPU,
    build,
    first,
    images,
    inputs,
    is_sample,
    train_model,
)

SAMPLES = ("render(generate(z))", "decode(code)", "reconstruct(x)", "translate(x, y, own)")
ROWS = 6
DRAWS = 2000
STRESS = 30.0
"""The factor on all weights that drives the last layer to its limits."""


def check_range(part: Subject, data: Data) -> None:
    """Samples lie in [-1, 1] whatever the weights are: by construction, not by luck."""
    if not data.spec.bounded:
        return
    model = build(part, data)
    with torch.no_grad():
        for parameter in model.nets.parameters():
            parameter.mul_(STRESS)
        for name, function, given in maps(model, data):
            if name in SAMPLES:
                x = function(*given)
                is_sample(x[torch.isfinite(x.flatten(1)).all(1)], data, f"{name} of large weights")


def check_rows(part: Subject, data: Data) -> None:
    """Each row of an output belongs to that row of the input alone, in eval mode."""
    few = first(data, 16)
    model = build(part, few)
    train_model(model, few, epochs=2)
    with torch.no_grad():
        for name, function, given in maps(model, few):
            try:
                whole = function(*given)
            except UsageError:  # settings may leave a loss that is no likelihood
                continue
            if torch.equal(whole, function(*given)):  # what is random on purpose has other rows
                _check_rows(name, function, given, whole)


def _check_rows(
    name: str, function: Callable[..., Tensor], given: tuple[Tensor, ...], whole: Tensor
) -> None:
    half = ROWS // 2
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    halves = [function(*(i[rows] for i in given)) for rows in (slice(half), slice(half, None))]
    shuffled = function(*(i[order] for i in given))
    finite = whole[torch.isfinite(whole)]
    size = max(1.0, float(finite.abs().max())) if len(finite) else 1.0
    spread = float(torch.nan_to_num(whole.std(0)).mean())
    allowed = 2e-5 * size + 1e-3 * spread
    for other, expected in ((torch.cat(halves), whole), (shuffled, whole[order])):
        apart = float(torch.nan_to_num(other - expected).abs().max())
        assert apart <= allowed, (
            f"a row of {name} changes by {apart:.3g} with the other rows of its minibatch; in eval "
            "mode a row must depend on its own input alone, and keep its place (check "
            "statistics over the batch, permutations and state that is kept between calls)"
        )


def nets_of_samples(model: Any, data: Data) -> set[str]:
    """The nets that samples, codes and reconstructions come from."""
    called: set[str] = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, net in model.nets.items()
        for module in net.modules()
    ]
    with torch.no_grad():
        for what, function, given in maps(model, data):
            if what in SAMPLES or what == "encode(x)":
                function(*given)
    for hook in hooks:
        hook.remove()
    return called


def maps(
    model: Any, data: Data, device: torch.device = CPU
) -> Iterator[tuple[str, Callable[..., Tensor], tuple[Tensor, ...]]]:
    """The maps from rows to rows that a model has, in eval mode, with inputs of `ROWS` rows.

    The inputs are on ``device``, where the nets are.
    """
    x, y = inputs(model, data, ROWS)
    x, labels = x.to(device), () if y is None else (y.to(device),)
    if isinstance(model, Generates):
        z = model.prior(ROWS, torch.Generator().manual_seed(1))

        def generated(z: Tensor, *y: Tensor) -> Tensor:
            return rendered(model, model.generate(z, *y))

        yield "render(generate(z))", generated, (z, *labels)
    if isinstance(model, Encodes):
        yield "encode(x)", lambda x, *y: model.encode(x, *y)[0], (x, *labels)
        if isinstance(model, Decodes):
            with torch.no_grad():
                code = model.encode(x, *labels)[0]
            yield "decode(code)", model.decode, (code, *labels)
    if isinstance(model, Reconstructs):
        yield "reconstruct(x)", model.reconstruct, (x, *labels)
    if isinstance(model, Translates) and (own := images(data, ROWS)[1]) is not None:
        own = own.to(device)
        yield "translate(x, y, own)", model.translate, (x, own.flip(0), own)
    if isinstance(model, HasLikelihood) and isinstance(model, Generates):
        z = model.prior(ROWS, torch.Generator().manual_seed(1))
        yield "log_likelihood(x, z)", model.log_likelihood, (x, z, *labels)
    if isinstance(model, HasVelocity):
        yield "velocity(x, t)", model.velocity, (*noised(model, ROWS, device), *labels)
    if isinstance(model, Denoises):
        yield "denoise(x, t)", model.denoise, (*noised(model, ROWS, device), *labels)
    if isinstance(model, HasDensity):
        yield "log_density(x)", model.log_density, (x, *labels)


# --- the prior ----------------------------------------------------------------------------------


def check_prior(part: Subject, data: Data) -> None:
    """The prior has the law that ``prior_kind`` names: N(0, I), or U(-1, 1) in each dimension."""
    model = build(part, data)
    if not isinstance(model, Generates):
        return
    kind = prior_kind(model)
    if kind not in ("normal", "uniform"):
        return  # a law of the model's own: samplers that need to know it refuse the model
    z = model.prior(DRAWS, torch.Generator().manual_seed(3)).detach().double().flatten(1)
    law = "N(0, 1)" if kind == "normal" else "U(-1, 1)"
    assert len(z) == DRAWS, f"prior({DRAWS}) draws {len(z)} rows"
    apart = _distance_from(kind, z)
    assert apart <= 2.7 / DRAWS**0.5, (
        f"the prior says that each dimension is {law} (prior_kind = {kind!r}), but its draws lie "
        f"{apart:.2g} away from that law (Kolmogorov-Smirnov); draw from it, or declare the "
        "attribute prior_kind: 'normal', 'uniform', or another word for another law"
    )
    if 1 < z.shape[1] <= DRAWS:
        tied = torch.corrcoef(z.T).fill_diagonal_(0).abs().max()
        assert tied <= 6 / DRAWS**0.5, (
            f"two dimensions of the prior are correlated by {float(tied):.2g}; those of a "
            f"{kind} prior are independent"
        )


def _distance_from(kind: str, z: Tensor) -> float:
    """The largest distance over the dimensions of the distribution functions."""
    ordered = z.sort(0).values
    cdf = torch.special.ndtr(ordered) if kind == "normal" else ((ordered + 1) / 2).clamp(0, 1)
    steps = torch.arange(len(z) + 1, dtype=z.dtype)[:, None] / len(z)
    return float(torch.maximum((cdf - steps[:-1]).abs(), (cdf - steps[1:]).abs()).max())
