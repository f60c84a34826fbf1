"""Pictures of samples as PNG: from one fixed noise, so that they can be compared across epochs.

Images are float (N, C, H, W) in [-1, 1] or uint8, shown in a grid. Points in the plane, float
(N, 2), are a scatter over the data. Latents are shown as what they are rendered to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import (
    Conditional,
    Data,
    DataSpec,
    Generates,
    Picture,
    rendered,
    samples_data,
)
from genbench.files.writing import replacing
from genbench.pictures.classes import class_name
from genbench.pictures.figure import drawing
from genbench.pictures.plots import draw_samples
from genbench.pictures.sheet import as_pillow, save_sheet, write_png
from genbench.pixels import to_uint8
from genbench.spec import RunSpec

COUNT, COLUMNS = 64, 8
"""Samples of a grid, and how many stand in a row."""

POINTS, BENEATH = 2_000, 5_000
"""Samples of a scatter, and the held-out points that lie beneath them."""

WIDEST, FEW = 16, 12
"""Images of a class in one row, and classes that have rows however few their images, at most."""


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
        y = labels_in_turn(model, n)
        y = None if y is None else y.to(z.device)
        return as_shown(rendered(model, model.generate(z, y)), data)


def labels_in_turn(model: Any, n: int) -> Tensor | None:
    """The classes (n,) that a conditional model is asked for, one after the other; else None."""
    return torch.arange(n) % model.classes if isinstance(model, Conditional) else None


def default_count(data: Data) -> int:
    """How many samples make a picture of such data."""
    return COUNT if has_images(data) else POINTS


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
    """Where a run keeps a metric's picture of a sampler's draw (``""``: of the model itself)."""
    return folder / "pictures" / f"{name}-{sampler or 'model'}-{epoch:04d}.png"


def described(spec: RunSpec, run: str, epoch: int, step: int | None = None) -> str:
    """What a caption says of a run: "vae on digits, run 3f8k, epoch 20"."""
    after = f"epoch {epoch}" if step is None else f"step {step:,} after epoch {epoch}"
    return f"{spec.model} on {spec.dataset}, run {run}, {after}"


def save_samples(
    samples: Tensor, labels: Tensor | None, data: Data, path: Path, run: str, columns: int = COLUMNS
) -> None:
    """Write samples, as `as_shown` gives them, as one PNG: a grid, or a scatter over the data.

    ``run`` is what `described` says. A grid has a row for each class in ``labels`` (N,) where there
    are a few samples of each, else so many ``columns``.
    """
    if has_images(data):
        grid = Picture(images=samples, columns=columns, about="Samples")
        save_sheet(grid if labels is None else by_class(grid, labels, data.spec), path, run)
        return
    held_out = np.array(samples_data(data).test.x[:BENEATH])
    with drawing(path) as figure:
        draw_samples(figure, samples.numpy(), held_out, f"Samples: {run}")


def by_class(grid: Picture, labels: Tensor, data: DataSpec) -> Picture:
    """The grid with a row, or several, for each class in ``labels`` (N,).

    Classes keep their order where the images of each stand together, else they are sorted. The grid
    stays as it is where there are many classes with few images each.
    """
    classes = list(dict.fromkeys(labels.tolist()))
    if int((labels.diff() != 0).sum()) >= len(classes):
        classes.sort()
    most = int(labels.bincount().max())
    if len(classes) > max(FEW, 2 * most):
        return grid
    rows = -(-most // max(WIDEST, round(len(labels) ** 0.5)))
    columns = -(-most // rows)
    images = torch.full((len(classes), rows * columns, *grid.images.shape[1:]), 255).byte()
    for row, label in zip(images, classes, strict=True):
        own = grid.images[labels == label]
        row[: len(own)] = own
    return replace(
        grid,
        images=images.flatten(0, 1),
        columns=columns,
        row_names=[name for c in classes for name in (class_name(c, data), *[""] * (rows - 1))],
        rows_together=rows if rows > 1 else 0,
    )


def save_image(image: Tensor, path: Path) -> None:
    """Write one uint8 image (C, H, W), C of 1, 3 or 4, as PNG, as it is."""
    write_png(as_pillow(image.permute(1, 2, 0).contiguous().numpy()), path)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as one compressed .npz; a reader never sees half a file."""
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
