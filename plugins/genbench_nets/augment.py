"""What D sees: differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738), instance noise.

With augmentation D sees T(x) of real and of fake samples, in its own phase and in G's; T is random
for each sample and differentiable, so that G learns through it and need not imitate it. As in the
paper's code an image is shifted by up to 1/8 of its side, a square of half its side is cut out,
and missing pixels are 0, the middle grey. The only colour change is brightness, which grey images
have too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import Batch
from genbench_nets.adversarial_settings import Augmentation

SHIFT = 1 / 8
CUT = 1 / 2
BRIGHTNESS = 0.5


def augmented(x: Tensor, policy: Sequence[Augmentation]) -> Tensor:
    """Images (B, C, H, W), each changed at random by every step of the policy in turn."""
    for name in policy:
        x = STEPS[name](x)
    return x


def brighter(x: Tensor) -> Tensor:
    """Add to each image one value of U(-1/2, 1/2)."""
    return x + BRIGHTNESS * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1).to(x.dtype)


def shifted(x: Tensor) -> Tensor:
    """Move each image by whole pixels along both sides."""
    size, height, width = len(x), *x.shape[2:]
    reach = [round(side * SHIFT) for side in (height, width)]
    padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
    rows, columns = (
        torch.randint(0, 2 * r + 1, (size, 1), device=x.device)
        + torch.arange(side, device=x.device)
        for r, side in zip(reach, (height, width), strict=True)
    )
    batch = torch.arange(size, device=x.device)[:, None, None]
    moved: Tensor = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def cut_out(x: Tensor) -> Tensor:
    """Set a square to 0, its centre anywhere in the image."""
    rows, columns = (_outside(len(x), side, x.device) for side in x.shape[2:])
    keep = rows[:, :, None] | columns[:, None, :]
    return x * keep[:, None]


def _outside(size: int, side: int, device: torch.device) -> Tensor:
    """(B, side) bool: which places lie outside a random interval."""
    length = round(side * CUT)
    start = torch.randint(0, side + 1, (size, 1), device=device) - length // 2
    place = torch.arange(side, device=device)
    return (place < start) | (place >= start + length)


STEPS: Mapping[Augmentation, Callable[[Tensor], Tensor]] = {
    "translation": shifted,
    "cutout": cut_out,
    "brightness": brighter,
}


def noise_level(first: float, batch: Batch) -> float:
    """The std of the noise at this step: it falls linearly from ``first`` to 0 at the last step."""
    return first * (1.0 - batch.step / max(1, batch.steps - 1))


def with_noise(x: Tensor, std: float | Tensor) -> Tensor:
    """Instance noise (Sonderby et al. 2017, arXiv:1610.04490): x + std * N(0, I)."""
    return x + std * torch.randn_like(x)
