"""The laws of models that are drawn by integrating over time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Denoises, HasVelocity, NoisePath
from genbench.testing.trial import has_shape


def noised(model: Any, n: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Points (n, *shape) as a draw meets them half-way along the path, and their times (n,)."""
    path: NoisePath = model.path
    t = (path.start + path.end) / 2
    z: Tensor = model.prior(n, torch.Generator().manual_seed(5))
    x = path.signal(t) * torch.tanh(z.flip(0)) + path.noise(t) * z
    return x, torch.full((n,), t, device=device or x.device)


def check_path(model: Any, labels: Tensor | None) -> None:
    """The path ends at samples, and what the model says of its velocity agrees with it."""
    if not isinstance(model, HasVelocity | Denoises):
        return
    path: NoisePath = model.path
    assert (path.signal(path.end), path.noise(path.end)) == (1, 0), (
        "path.signal(end) must be 1 and path.noise(end) 0: a draw ends at a sample"
    )
    assert path.noise(path.start) > 10 * path.signal(path.start), (
        "path.start must be where the noise hides the sample: noise(start) far above signal(start)"
    )
    for steps in (1, 4):
        times = [*path.times(steps)]
        rising = path.end > path.start
        ordered = all((later > t) == rising and later != t for t, later in pairwise(times))
        assert (len(times), ordered) == (steps + 1, True), (
            f"path.times({steps}) must be {steps + 1} times from start to end, in order"
        )
        assert (times[0], times[-1]) == (path.start, path.end), (
            f"path.times({steps}) must begin at start and end at end"
        )
    x, t = noised(model, 6)
    if isinstance(model, HasVelocity):
        has_shape(model.velocity(x, t, labels), tuple(x.shape), "velocity(x, t)")
    if isinstance(model, Denoises):
        has_shape(model.denoise(x, t, labels), tuple(x.shape), "denoise(x, t)")
        if isinstance(model, HasVelocity):
            _check_agreement(model, x, t, labels)


def _check_agreement(model: Any, x: Tensor, t: Tensor, labels: Tensor | None) -> None:
    """dx/dt = signal'(t) D + noise'(t) (x - signal(t) D) / noise(t), D the denoised sample."""
    path: NoisePath = model.path
    at, step = float(t[0]), 1e-4 * abs(path.end - path.start)
    signal, noise = ((f(at + step) - f(at - step)) / (2 * step) for f in (path.signal, path.noise))
    denoised = model.denoise(x, t, labels)
    expected = signal * denoised + noise * (x - path.signal(at) * denoised) / path.noise(at)
    apart = float((model.velocity(x, t, labels) - expected).abs().max())
    size = max(1.0, float(expected.abs().max()))
    assert apart < 1e-2 * size, (
        f"velocity(x, t) and denoise(x, t) disagree by {apart:.3g} along the path; the velocity is "
        "signal'(t) D + noise'(t) (x - signal(t) D) / noise(t) with D = denoise(x, t)"
    )
