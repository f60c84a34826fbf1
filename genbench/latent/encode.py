"""What a stored run makes of test samples: their codes, and their reconstructions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench.contracts import Conditional, Data, DataSpec, Picture
from genbench.errors import SamplingError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent.needs import need, need_images
from genbench.latent.spaces import Rows, at_random, encoded, held_out, originals
from genbench.pictures.classes import class_names
from genbench.pictures.figure import drawing
from genbench.pictures.plots import Classes, draw_classes, draw_ridgelines
from genbench.pictures.samples import COLUMNS, as_images, write_arrays
from genbench.pictures.sheet import save_sheet

Array = np.ndarray[Any, Any]


def encode(loaded: LoadedRun, out: Path, *, n: int | None = None, seed: int = 0) -> None:
    """Encode the test split, or ``n`` samples of it at random, into ``out``.

    A .png file shows the codes by class, see `view_of`. A .npz file holds ``codes`` and ``logvars``
    (N, *code) float32, ``labels`` (N,) int64 if there are any, and ``index`` (N,), the indices of
    the samples in the test split.
    """
    need(loaded, "encodes", hint="See: genbench models")
    data = loaded.data
    size = len(data.test.x)
    rows = np.arange(size) if n is None or n >= size else np.sort(at_random(data, n, seed))
    mean, logvar, y = encoded(loaded.model, data, rows, loaded.device)
    if not torch.isfinite(mean).all():
        raise SamplingError(
            f"run {loaded.id}: the codes of some test samples are not finite, because its weights "
            "diverged; train it again with a lower learning rate"
        )
    labels = None if y is None else y.numpy()
    if out.suffix == ".npz":
        arrays = {"codes": mean.numpy(), "logvars": logvar.numpy(), "index": rows}
        write_arrays(out, arrays if labels is None else {**arrays, "labels": labels})
    else:
        about = f"Codes of {len(rows):,} test samples: {loaded.described}"
        _draw(mean.numpy(), labels, data.spec, out, about)


def _draw(codes: Array, labels: Array | None, data: DataSpec, out: Path, about: str) -> None:
    """Codes (N, *code) as a picture: ridgelines along one dimension, a scatter plot in two."""
    (places, axes), classes = view_of(codes), None
    if labels is not None:
        count = data.classes or int(labels.max()) + 1
        classes = Classes(labels=labels, names=class_names(range(count), data))
    with drawing(out) as figure:
        if len(axes) == 1:
            draw_ridgelines(figure, places[:, 0], axes[0], classes, about)
        else:
            draw_classes(figure, places, (axes[0], axes[1]), classes, about)


def view_of(codes: Array) -> tuple[Array, tuple[str, ...]]:
    """Codes (N, 1) or (N, 2) to draw, and the names of their axes.

    Codes (N, *code) of more dimensions are shown by their first two principal components; the
    names of the axes then give the share of the variance that each explains.
    """
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    if flat.shape[1] <= 2:
        return flat, tuple(f"z{dim}" for dim in range(flat.shape[1]))
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=0)
    places = pca.fit_transform(flat)
    first, second = (f"{share:.0%}" for share in pca.explained_variance_ratio_)
    dimensions = f"{flat.shape[1]:,} dimensions"
    return places, (
        f"first principal component ({first} of the variance of {dimensions})",
        f"second principal component ({second})",
    )


def reconstruct(loaded: LoadedRun, out: Path, *, n: int = 32, seed: int = 0) -> None:
    """Draw ``n`` random test images and their reconstructions into ``out``."""
    need_images(loaded)
    need(loaded, "reconstructs", hint="See: genbench models")
    rows = at_random(loaded.data, n, seed)
    picture = reconstructions(loaded.model, loaded.data, loaded.device, rows)
    save_sheet(picture, out, loaded.described)


def reconstructions(model: Any, data: Data, device: torch.device, rows: Rows) -> Picture:
    """These test images in rows, each row with the model's reconstructions beneath it.

    For data in a latent space, the originals are the images that were encoded.
    """
    x, y = held_out(data, rows)
    told = y.to(device) if y is not None and isinstance(model, Conditional) else None
    with torch.no_grad():
        rebuilt = as_images(model.reconstruct(x.to(device), told), data)
    pairs = torch.stack((originals(data, rows, device), rebuilt))
    columns = min(COLUMNS, len(rows))
    missing = torch.full((2, -len(rows) % columns, *pairs.shape[2:]), 255, dtype=torch.uint8)
    images = torch.cat((pairs, missing), dim=1)
    images = images.view(2, -1, columns, *pairs.shape[2:]).transpose(0, 1)
    return Picture(
        images=images.flatten(0, 2),
        columns=columns,
        about="Test images and reconstructions",
        row_names=("original", "reconstruction") * len(images),
        rows_together=2,
    )
