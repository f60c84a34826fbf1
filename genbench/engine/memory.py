"""Out-of-memory errors in a training step: the cause, and what helps."""

from __future__ import annotations

import re

import torch
from torch import nn

from genbench.contracts import Model
from genbench.errors import OutOfMemoryError

_ASKED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|[KMG]iB)", re.IGNORECASE)
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def asked_bytes(error: BaseException) -> int | None:
    """The size of the failed allocation, if the error message has it."""
    found = _ASKED.search(str(error))
    return round(float(found[1]) * _UNITS[found[2].lower()]) if found else None


def mixes_samples(model: Model) -> bool:
    """Whether a loss of the model depends on which samples share a batch.

    This is known for batch normalisation and parts with ``mixes_samples = True`` (see `Model`).
    """
    return any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) or getattr(part, "mixes_samples", False)
        for part in (model, *model.nets.modules())
    )


def step_out_of_memory(
    error: BaseException, model: Model, *, images: int, accumulate: int, device: torch.device
) -> OutOfMemoryError:
    """The error for a training step on ``images`` images, in ``accumulate`` microbatches.

    A smaller batch helps unless the failed allocation has the size of a layer's weights.
    """
    where = f"out of memory on {device.type} in a training step"
    if asked_bytes(error) in {p.nbytes for p in model.nets.parameters()} or images == accumulate:
        count = sum(p.numel() for p in model.nets.parameters())
        return OutOfMemoryError(
            f"{where}: the networks, of {count:,} parameters, don't fit with their gradients and "
            "the optimizer's state; use smaller networks (a smaller batch would not help)"
        )
    microbatches = next(k for k in range(2 * accumulate, images + 1) if images % k == 0)
    effect = (
        "smaller microbatches; operations over the images of a batch, such as batch normalisation, "
        "then see one microbatch at a time"
        if mixes_samples(model)
        else "the loss of the same batch, in smaller microbatches"
    )
    return OutOfMemoryError(
        f"{where} with batches of {images} images; try --accumulate {microbatches} ({effect}) or "
        f"--batch-size {images // 2}"
    )
