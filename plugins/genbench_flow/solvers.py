"""The times of the steps of a sampler, and the steps.

Deterministic sampling integrates dx/dt = v(x, t) by a Runge-Kutta method of order 1 (Euler) or 2
(midpoint, Heun). Stochastic sampling removes the noise that the model predicts and adds less of new
noise. Both work along any `genbench.NoisePath`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from genbench import NoisePath, SampleContext

Solver = Literal["euler", "midpoint", "heun"]
Schedule = Literal["own", "uniform", "edm"]


# --- times


def times_of(
    path: NoisePath, steps: int, schedule: Schedule = "own", rho: float = 7.0
) -> tuple[float, ...]:
    """The steps + 1 times, from ``path.start`` to ``path.end``."""
    if schedule == "own":
        return tuple(path.times(steps))
    if schedule == "uniform":
        return tuple(path.start + (path.end - path.start) * i / steps for i in range(steps + 1))
    return edm_times(path.start, path.end, path.least, steps, rho)


def edm_times(
    start: float, end: float, least: float, steps: int, rho: float = 7.0
) -> tuple[float, ...]:
    """The schedule of EDM (Karras et al. 2022, eq. 5), as distances from ``end``.

    The rho-th roots of the distances are evenly spaced from that of ``start`` to ``least``; the
    last time is ``end`` itself. A single step goes from ``start`` to ``end``.
    """
    first, last = abs(start - end) ** (1 / rho), least ** (1 / rho)
    towards = 1 if start > end else -1
    found = [
        end + towards * (first + i / max(1, steps - 1) * (last - first)) ** rho
        for i in range(steps)
    ]
    return (start, *found[1:], end)


# --- deterministic sampling


def integrate(
    velocity: Callable[[Tensor, float], Tensor], x: Tensor, times: Sequence[float], solver: Solver
) -> Tensor:
    """x at the last of ``times``, from x at the first.

    The velocity is not evaluated at the last time, where diffusions have none, so Heun's last step
    is one of Euler (Karras et al. 2022, algorithm 1). This keeps the error of second order.
    """
    for i, (t, later) in enumerate(pairwise(times)):
        h = later - t
        slope = velocity(x, t)
        if solver == "midpoint":
            slope = velocity(x + h / 2 * slope, t + h / 2)
        elif solver == "heun" and i < len(times) - 2:
            slope = (slope + velocity(x + h * slope, later)) / 2
        x = x + h * slope
    return x


def evaluations_of(solver: Solver, steps: int) -> int:
    """How often `integrate` evaluates the velocity."""
    return {"euler": steps, "midpoint": 2 * steps, "heun": 2 * steps - 1}[solver]


def flow_map(
    path: NoisePath,
    velocity: Callable[[Tensor, Tensor], Tensor],
    z: Tensor,
    times: Sequence[float] | None = None,
    solver: Solver | None = None,
) -> Tensor:
    """The sample that a velocity (x, t) carries the noise z ~ N(0, I) to, as a map z -> x.

    Times and solver are those of the path unless they are given.
    """
    times = path.times(path.steps) if times is None else times
    x = integrate(
        lambda x, t: velocity(x, _filled(t, x)),
        path.noise(path.start) * z,
        times,
        solver or path.solver,
    )
    return clamped(x, path)


# --- stochastic sampling


def denoised_step(
    x: Tensor, sample: Tensor, path: NoisePath, t: float, later: float, eta: float
) -> tuple[Tensor, float]:
    """The mean of x at the time ``later``, and the standard deviation around it.

    ``sample`` is the model's estimate of the sample in x at t. With the signal a
    and the noise s of the path, and n = (x - a_t sample) / s_t,

        mean = a_later sample + sqrt(s_later^2 - c^2) n,
        c^2 = eta^2 s_later^2 / s_t^2 (s_t^2 - (a_t / a_later)^2 s_later^2).

    This is eq. 12 and 16 of DDIM (Song et al. 2021) for any path. With eta = 1 it is the posterior
    q(x_later | x_t, sample) of DDPM (Ho et al. 2020, eq. 6 and 7).
    """
    signal, noise = path.signal(t), path.noise(t)
    signal_later, noise_later = path.signal(later), path.noise(later)
    kept = noise**2 - (signal / signal_later * noise_later) ** 2
    new = eta * noise_later / noise * max(kept, 0.0) ** 0.5
    rest = max(noise_later**2 - new**2, 0.0) ** 0.5
    return signal_later * sample + rest / noise * (x - signal * sample), new


def ancestral(
    model: Any,
    z: Tensor,
    y: Tensor | None,
    times: Sequence[float],
    eta: float,
    generator: torch.Generator,
) -> Tensor:
    """A sample for the noise z ~ N(0, I); the new noise is drawn from a CPU ``generator``.

    If samples are bounded, so are the model's estimates, as in the code of DDPM's authors.
    """
    path: NoisePath = model.path
    x = path.noise(path.start) * z
    for t, later in pairwise(times):
        sample = clamped(model.denoise(x, _filled(t, x), y), path)
        x, new = denoised_step(x, sample, path, t, later, eta)
        if new:
            x = x + new * torch.randn(x.shape, generator=generator).to(x.device)
    return clamped(x, path)


def minibatches(
    model: Any, n: int, context: SampleContext
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The noise of ``n`` samples from the model's prior, with the labels that are asked for."""
    for start in range(0, n, context.batch_size):
        size = min(context.batch_size, n - start)
        labels = context.labels
        y = None if labels is None else labels[start : start + size].to(context.device)
        yield model.prior(size, context.generator), y


def clamped(x: Tensor, path: NoisePath) -> Tensor:
    """Samples in the range of the data."""
    return x.clamp(-1, 1) if path.bounded else x


def _filled(t: float, x: Tensor) -> Tensor:
    """The time of all rows, (B,); it is made from x, so that a trace takes any number of rows."""
    return torch.full_like(x.flatten(1)[:, 0], t)
