"""Interpolations between samples, images or classes: one row for each pair."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genbench.contracts import Conditional, Picture
from genbench.latent.paths import Path, path
from genbench.latent.spaces import LatentSpace, Rows, encoded, originals
from genbench.pictures.classes import class_name


def between_samples(
    space: LatentSpace, a: Tensor, b: Tensor, y: Tensor | None, *, kind: Path, steps: int
) -> Picture:
    """Rows from each latent a to its b, (rows, *shape); ``y`` (rows,) are their classes."""
    latents = path(kind, a, b, steps).flatten(0, 1)
    labels = None if y is None else y.repeat_interleave(steps)
    names = [] if y is None else [class_name(int(label), space.data.spec) for label in y]
    return Picture(
        images=space.images(latents, labels),
        columns=steps,
        about=f"{kind.capitalize()} interpolations between samples",
        row_names=names,
    )


def between_images(
    space: LatentSpace, model: Any, a: Rows, b: Rows, *, kind: Path, steps: int
) -> Picture:
    """Rows from each test image a to its b through their codes, with the originals at both ends.

    The first decoded image is the reconstruction of the first original, the last of the last.
    A conditional model goes from the class of a to that of b at the same rate.
    """
    data, device = space.data, space.device
    first, second = encoded(model, data, a, device), encoded(model, data, b, device)
    latents = path(kind, first[0], second[0], steps).flatten(0, 1)
    weights = None
    if isinstance(model, Conditional) and first[2] is not None and second[2] is not None:
        weights = _turning(first[2], second[2], model.classes, steps)
    decoded = space.images(latents, weights)
    decoded = decoded.view(len(a), steps, *decoded.shape[1:])
    frame = [originals(data, rows, device)[:, None] for rows in (a, b)]
    return Picture(
        images=torch.cat((frame[0], decoded, frame[1]), dim=1).flatten(0, 1),
        columns=steps + 2,
        about=f"{kind.capitalize()} interpolations between the codes of test images",
        groups=(("original", 1), ("decoded", steps), ("original", 1)),
    )


def between_classes(
    space: LatentSpace, model: Conditional, z: Tensor, a: Tensor, b: Tensor, *, steps: int
) -> Picture:
    """Rows from class a to class b, each (rows,), with fixed noise z (rows, *shape)."""
    images = space.images(z.repeat_interleave(steps, dim=0), _turning(a, b, model.classes, steps))
    spec = space.data.spec
    names = [
        f"{class_name(int(first), spec)} to {class_name(int(second), spec)}"
        for first, second in zip(a, b, strict=True)
    ]
    about = "Interpolations between classes, each row with the same noise"
    return Picture(images=images, columns=steps, about=about, row_names=names)


def _turning(a: Tensor, b: Tensor, classes: int, steps: int) -> Tensor:
    """Weights of classes that go from all of a to all of b: (rows * steps, classes)."""
    hot = torch.eye(classes)
    return path("linear", hot[a], hot[b], steps).flatten(0, 1)
