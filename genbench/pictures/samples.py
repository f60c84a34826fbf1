"""Pictures of samples as PNG: from one fixed noise, so that they can be compared across epochs.

Images are float (N, C, H, W) in [-1, 1] or uint8, shown in a grid; small ones are drawn at a whole
multiple of their size. Points in the plane, float (N, 2), are a scatter over the data. Latents are
shown as what they are rendered to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from genbench.contracts import Conditional, Data, Generates, samples_data
from genbench.files.writing import replacing
from genbench.pictures.scatter import scatter
from genbench.pixels import stored_as_float, to_uint8

COUNT, COLUMNS = 64, 8
"""Samples of a grid, and how many stand in a row."""

POINTS, BENEATH = 2_000, 5_000
"""Samples of a scatter, and the held-out points that lie beneath them."""

SMALLEST_SIDE = 56
"""Pixels that an image's longer side is drawn with at least."""

_BACKGROUND = 255


def is_picture_epoch(epoch: int, stages: Sequence[tuple[str, int]], every: int) -> bool:
    """Whether a grid is drawn after an epoch, counted from 1 across the stages.

    ``every`` > 0: each so many epochs and the last of each stage. 0: the first and the last of
    each stage and at most eight between, at about equal ratios.

    >>> [epoch for epoch in range(1, 21) if is_picture_epoch(epoch, [("train", 20)], 0)]
    [1, 2, 3, 4, 5, 7, 10, 14, 20]
    """
    before = 0
    for _, epochs in stages:
        if before < epoch <= before + epochs:
            within = epoch - before
            if every:
                return epoch % every == 0 or within == epochs
            return within in {round(epochs ** (k / 9)) for k in range(10)}
        before += epochs
    return False


def fixed_samples(model: Generates, data: Data, *, seed: int, n: int | None = None) -> Tensor:
    """``n`` samples (default: `default_count`) on the CPU, from the noise that ``seed`` names.

    Images as uint8 (n, C, H, W), points as float (n, D). The model is in eval mode. A conditional
    model draws the classes in turn.
    """
    n = default_count(data) if n is None else n
    with torch.no_grad():
        z = model.prior(n, torch.Generator().manual_seed(seed))
        y = None
        if isinstance(model, Conditional):
            y = torch.arange(n, device=z.device) % model.classes
        return as_shown(model.render(model.generate(z, y)), data)


def default_count(data: Data) -> int:
    """How many samples make a picture of such data."""
    return COUNT if has_images(data) else POINTS


def reconstruction_pairs(model: Any, data: Data, device: torch.device, n: int = 32) -> Tensor:
    """The first ``n`` test images, each followed by its reconstruction: (2n, C, H, W) uint8.

    Of a latent space they are the images that were encoded.
    """
    x, shown = stored_as_float(data.test.x[:n]).to(device), samples_data(data)
    y = None
    if isinstance(model, Conditional) and data.test.y is not None:
        y = torch.from_numpy(np.array(data.test.y[:n])).to(device)
    with torch.no_grad():
        again = model.reconstruct(x, y)
        original = x if shown is data else stored_as_float(shown.test.x[:n]).to(device)
        pairs = torch.stack([as_images(original, shown), as_images(again, data)], dim=1)
    return pairs.flatten(0, 1)


def has_pictures(data: Data) -> bool:
    """Whether samples of this data can be drawn: images, or points in the plane."""
    return has_images(data) or samples_data(data).spec.shape == (2,)


def has_images(data: Data) -> bool:
    """Whether samples of this data are images, or what renders to images."""
    if data.source is not None:
        return samples_data(data).spec.is_image
    return data.spec.is_image or data.render is not None


def as_shown(samples: Tensor, data: Data) -> Tensor:
    """Samples (N, *shape) as they are kept on the CPU: images by `as_images`, points as float32."""
    return as_images(samples, data) if has_images(data) else _rendered(samples, data).float().cpu()


def as_images(samples: Tensor, data: Data) -> Tensor:
    """Samples (N, *shape) in [-1, 1] as the images they stand for: uint8 (N, C, H, W), CPU."""
    return to_uint8(_rendered(samples, data)).cpu()


def _rendered(samples: Tensor, data: Data) -> Tensor:
    samples = samples.detach()
    return samples if data.render is None else data.render(samples)


def picture_path(folder: Path, name: str, sampler: str, epoch: int) -> Path:
    """Where a run keeps what a metric shows of a sampler's draw (``""``: of the model itself)."""
    return folder / "pictures" / f"{name}-{sampler or 'model'}-{epoch:04d}.png"


def save_samples(samples: Tensor, data: Data, path: Path, *, columns: int = COLUMNS) -> None:
    """Write samples, as `as_shown` gives them, as one PNG: a grid, or a scatter over the data."""
    if has_images(data):
        save_grid(samples, path, columns=columns)
        return
    picture = scatter(samples.numpy(), np.array(samples_data(data).test.x[:BENEATH]))
    save_image(torch.from_numpy(picture).permute(2, 0, 1), path)


def save_grid(images: Tensor, path: Path, *, columns: int = COLUMNS) -> None:
    """Write uint8 images (N, C, H, W) as one PNG; a reader never sees half a file."""
    scale = max(1, -(-SMALLEST_SIDE // max(images.shape[-2:])))
    enlarged = images.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)
    grid = make_grid(enlarged, nrow=columns, padding=2, pad_value=_BACKGROUND)
    save_image(grid, path)


def save_image(image: Tensor, path: Path) -> None:
    """Write one uint8 image (C, H, W), C of 1, 3 or 4, as PNG."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    with replacing(path) as part:
        picture.save(part, format="PNG")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays as one compressed .npz; a reader never sees half a file."""
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
