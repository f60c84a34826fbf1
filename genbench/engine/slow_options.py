"""Options that are meant to make a training faster, and whether they do on this machine.

On the CPU, a compiled loss of a small network is often slower than the loss itself, and so is bf16
where the processor has no units for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Literal

import torch

from genbench.contracts import Batch, Model
from genbench.engine.device import AUTO, PRECISIONS, synchronize, unknown_precision
from genbench.engine.randomness import forked_rng
from genbench.engine.update import Update
from genbench.formatting import number

WARM_UP = 3
"""Trials before the measurement: the first ones compile, for one step and for all others."""
TRIALS = 5
"""Trials that are measured, of each kind in turn; the fastest ones are compared."""
SLOWER = 1.05
"""The ratio from which an option is called slower; less is noise."""
SIZE, SIZE_CPU = 4096, 512
"""The side of square matrices; their product shows whether bf16 is fast. A GPU needs work."""
FASTER = 1.2
"""The ratio from which ``auto`` takes bf16, since its casts cost time too."""

Attempt = Callable[[Batch], object]
"""Computes the gradients of a phase on a batch."""


def resolve_precision(name: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """The precision for a name; for ``auto`` it is bf16 where a matrix product in it is faster."""
    if name not in (*PRECISIONS, AUTO):
        raise unknown_precision(name)
    faster = name == "bf16" or (name == AUTO and _bf16_is_faster(device))
    return "bf16" if faster else "fp32"


@cache
def _bf16_is_faster(device: torch.device) -> bool:
    """Measured once in a process, within some tens of milliseconds."""
    size = SIZE_CPU if device.type == "cpu" else SIZE
    # Constants: a training's random numbers stay what they are.
    plain = torch.full((size, size), 0.5, device=device)
    short = plain.bfloat16()
    found = _fastest([partial(torch.mm, plain, plain), partial(torch.mm, short, short)], device)
    return found[0] / found[1] > FASTER


def slow_options(
    updates: Sequence[Update], batches: Sequence[Batch], model: Model, device: torch.device
) -> Iterator[str]:
    """What each option does that makes phases slower, with the measured ratios.

    ``batches`` are used in turn; they should differ in ``step``. Nothing is trained: buffers and
    generators are restored.
    """
    for option, without in (("--compile", _uncompiled), ("--precision bf16", _in_fp32)):
        slower: dict[str, float] = {}
        for update in updates:
            plain = without(update)
            if plain is not None:
                ratio = slowdown(update.trial, plain, batches, model, device)
                if ratio > SLOWER:
                    slower[update.phase.name] = ratio
        if slower:
            yield _told(option, slower)


def slowdown(
    trial: Attempt, plain: Attempt, batches: Sequence[Batch], model: Model, device: torch.device
) -> float:
    """The seconds of ``trial`` over those of ``plain``, of the fastest of some of each."""
    runs = iter(range(2 * (WARM_UP + TRIALS)))

    def step(kind: Attempt) -> None:
        kind(batches[next(runs) // 2 % len(batches)])

    with _unchanged(model, device):
        with_option, without = _fastest([partial(step, trial), partial(step, plain)], device)
    return with_option / without


def _uncompiled(update: Update) -> Attempt | None:
    return partial(update.trial, compiled=False) if update.compiled else None


def _in_fp32(update: Update) -> Attempt | None:
    """A captured step doesn't wait for the host, so that a trial of its loss tells nothing."""
    if update.precision == "fp32" or update.move is not None:
        return None
    return partial(update.trial, precision="fp32")


def _told(option: str, slower: dict[str, float]) -> str:
    names = ", ".join(f"'{name}'" for name in slower)
    ratios = ", ".join(number(ratio, 2) for ratio in slower.values())
    what = f"losses of phases {names} take" if len(slower) > 1 else f"loss of phase {names} takes"
    longer = f"the {what} {ratios} times as long as without, on this machine"
    return f"with {option}, {longer}; leave it out"


def _fastest(calls: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """The seconds of the fastest trial of each call, tried in turn."""
    seconds: list[list[float]] = [[] for _ in calls]
    for k in range(WARM_UP + TRIALS):
        for call, found in zip(calls, seconds, strict=True):
            begun = time.perf_counter()
            call()
            synchronize(device)
            if k >= WARM_UP:
                found.append(time.perf_counter() - begun)
    return [min(found) for found in seconds]


@contextmanager
def _unchanged(model: Model, device: torch.device) -> Iterator[None]:
    """Restore generators and buffers afterwards, such as the statistics of BatchNorm."""
    buffers = list(model.nets.buffers())
    kept = [buffer.clone() for buffer in buffers]
    with forked_rng(device):
        try:
            yield
        finally:
            for buffer, before in zip(buffers, kept, strict=True):
                buffer.copy_(before)
