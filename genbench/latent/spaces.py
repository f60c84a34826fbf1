"""The two latent spaces of a model: the noise of its prior, and its codes.

They are one for a VAE. A latent GAN has both: noise for its generator, codes for its decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Conditional, Data, Generates, prior_kind, rendered, samples_data
from genbench.pictures.samples import as_images
from genbench.pixels import stored_as_float

BATCH = 250
"""Number of latents or samples that are computed at a time."""

PROBES = 4

Law = Literal["normal", "uniform"]
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """A latent space: the ``shape`` of a latent, without the batch, and how it becomes an image.

    ``law`` is the prior's on them; None where they are codes that are drawn otherwise.
    ``to_samples`` takes latents (B, *shape) and labels or weights of classes, or None.
    """

    shape: tuple[int, ...]
    law: Law | None
    to_samples: Callable[[Tensor, Tensor | None], Tensor]
    data: Data
    device: torch.device

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return int(np.prod(self.shape))

    def images(self, latents: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents (B, *shape) as uint8 images (B, C, H, W) on the CPU.

        ``y`` is int64 (B,) or float (B, classes), as `genbench.Conditional` has it.
        """

        def shown(few: Tensor, labels: Tensor | None) -> Tensor:
            return as_images(self.to_samples(few, labels), self.data)

        return in_batches(shown, latents, y, self.device)


def in_batches(
    network: Callable[[Tensor, Tensor | None], Tensor],
    x: Tensor,
    y: Tensor | None,
    device: torch.device,
) -> Tensor:
    """What a network makes of x (n, ...) and labels y, in batches without gradients, on the CPU."""
    made = []
    with torch.no_grad():
        for start in range(0, len(x), BATCH):
            few = slice(start, start + BATCH)
            labels = None if y is None else y[few].to(device)
            made.append(network(x[few].to(device), labels).cpu())
    return torch.cat(made)


def prior_space(model: Any, data: Data, device: torch.device) -> LatentSpace:
    """The space of the model's noise: through ``generate`` and ``render``."""
    with torch.no_grad():
        one = model.prior(1, torch.Generator().manual_seed(0))
    return LatentSpace(
        shape=tuple(one.shape[1:]),
        law=prior_kind(model),
        to_samples=lambda z, y: rendered(model, model.generate(z, y)),
        data=data,
        device=device,
    )


def code_space(model: Any, data: Data, device: torch.device) -> LatentSpace:
    """The space of the model's codes: through ``decode``."""
    mean, _, _ = encoded(model, data, np.arange(1), device)
    shape = tuple(mean.shape[1:])
    return LatentSpace(
        shape=shape,
        law=prior_kind(model) if _decodes_its_noise(model, shape, device) else None,
        to_samples=lambda code, y: model.decode(code, y),
        data=data,
        device=device,
    )


def _decodes_its_noise(model: Any, shape: tuple[int, ...], device: torch.device) -> bool:
    """Whether codes and noise are one space, as in a VAE, found by decoding four z.

    A model that draws codes from something else than its prior, such as a mixture that was fitted
    to them, may have noise of the same shape.
    """
    generates = isinstance(model, Generates)
    if not generates:
        return False
    with torch.no_grad():
        z = model.prior(PROBES, torch.Generator().manual_seed(0))
        if tuple(z.shape[1:]) != shape:
            return False
        y = None
        if isinstance(model, Conditional):
            y = torch.zeros(PROBES, dtype=torch.int64, device=device)
        made, decoded = rendered(model, model.generate(z, y)), model.decode(z, y)
    return torch.allclose(made, decoded, atol=1e-4)


def encoded(
    model: Any, data: Data, rows: Rows, device: torch.device
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean and log-variance, each (n, *code) float32, and labels (n,) of some test samples.

    All on the CPU. A conditional model is told the labels.
    """
    means, logvars = [], []
    for start in range(0, len(rows), BATCH):
        few = rows[start : start + BATCH]
        x, y = held_out(data, few)
        told = y.to(device) if y is not None and isinstance(model, Conditional) else None
        with torch.no_grad():
            mean, logvar = model.encode(x.to(device), told)
        means.append(mean.float().cpu())
        logvars.append(logvar.float().cpu())
    _, labels = held_out(data, rows, values=False)
    return torch.cat(means), torch.cat(logvars), labels


def codes_of_samples(model: Any, z: Tensor, y: Tensor | None, device: torch.device) -> Tensor:
    """The codes (n, *code) of the samples made from noise (n, ...), float32 on the CPU."""

    def codes(few: Tensor, labels: Tensor | None) -> Tensor:
        mean: Tensor = model.encode(rendered(model, model.generate(few, labels)), labels)[0]
        return mean.float()

    return in_batches(codes, z, y, device)


def held_out(data: Data, rows: Rows, *, values: bool = True) -> tuple[Tensor, Tensor | None]:
    """Some test samples (n, *shape) as floats, and their labels (n,) int64 or None, on the CPU.

    Without ``values`` only the labels are read.
    """
    x = stored_as_float(data.test.x[rows]) if values else torch.empty(0)
    y = None if data.test.y is None else torch.from_numpy(np.array(data.test.y[rows], np.int64))
    return x, y


def originals(data: Data, rows: Rows, device: torch.device) -> Tensor:
    """Some test samples as uint8 images (n, C, H, W) on the CPU; latents as what was encoded."""
    shown = samples_data(data)
    return as_images(held_out(shown, rows)[0].to(device), shown)


def at_random(data: Data, n: int, seed: int) -> Rows:
    """The indices of n test samples (or all, if there are fewer) in random order."""
    chosen: Rows = np.random.default_rng(seed).permutation(len(data.test.x))[:n]
    return chosen
