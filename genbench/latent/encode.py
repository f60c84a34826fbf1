"""What a stored run makes of test samples: their codes, and their reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench.contracts import Conditional, Data, DataSpec, Picture
from genbench.errors import SamplingError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent.codes import Array, view_of
from genbench.latent.needs import need, need_images
from genbench.latent.spaces import Rows, at_random, encoded, held_out, originals
from genbench.pictures.classes import class_names
from genbench.pictures.figure import drawing
from genbench.pictures.plots import Classes, draw_classes, draw_ridgelines
from genbench.pictures.samples import COLUMNS, as_images, write_arrays
from genbench.pictures.sheet import save_sheet


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Codes of test samples: ``mean`` and ``logvar`` (N, *code), ``labels`` (N,) or None."""

    mean: Array
    logvar: Array
    labels: Array | None
    data: DataSpec


def encode(loaded: LoadedRun, out: Path, *, n: int | None = None, seed: int = 0) -> None:
    """Encode the test split, or ``n`` samples of it at random, into ``out``.

    ``out`` ending in .png: the codes by class, see `view_of`. In .npz: ``codes`` and ``logvars``
    (N, *code) float32, ``labels`` (N,) int64 where there are any, ``index`` (N,) of the samples in
    the test split.
    """
    need(loaded, "encodes", hint="genbench models says which ones do")
    data = loaded.data
    size = len(data.test.x)
    rows = np.arange(size) if n is None or n >= size else np.sort(at_random(data, n, seed))
    mean, logvar, y = encoded(loaded.model, data, rows, loaded.device)
    if not torch.isfinite(mean).all():
        raise SamplingError(
            f"run {loaded.id}: the codes of some test samples are not finite; its weights "
            "diverged, and an earlier checkpoint or a lower learning rate helps"
        )
    codes = Codes(
        mean=mean.numpy(),
        logvar=logvar.numpy(),
        labels=None if y is None else y.numpy(),
        data=data.spec,
    )
    if out.suffix == ".npz":
        _save_arrays(codes, rows, out)
    else:
        _draw(codes, out, f"Codes of {len(rows):,} test samples: {loaded.described}")


def _draw(codes: Codes, out: Path, about: str) -> None:
    """Codes as a picture: ridgelines along one dimension, a scatter in two."""
    view, classes = view_of(codes.mean), None
    if codes.labels is not None:
        count = codes.data.classes or int(codes.labels.max()) + 1
        classes = Classes(labels=codes.labels, names=class_names(range(count), codes.data))
    with drawing(out) as figure:
        if len(view.axes) == 1:
            draw_ridgelines(figure, view.places[:, 0], view.axes[0], classes, about)
        else:
            draw_classes(figure, view.places, (view.axes[0], view.axes[1]), classes, about)


def _save_arrays(codes: Codes, rows: Array, out: Path) -> None:
    arrays = {"codes": codes.mean, "logvars": codes.logvar, "index": rows}
    if codes.labels is not None:
        arrays["labels"] = codes.labels
    write_arrays(out, arrays)


def reconstruct(loaded: LoadedRun, out: Path, *, n: int = 32, seed: int = 0) -> None:
    """Draw ``n`` random test images and their reconstructions into ``out``."""
    need_images(loaded)
    need(loaded, "reconstructs", hint="genbench models says which ones do")
    rows = at_random(loaded.data, n, seed)
    picture = reconstructions(loaded.model, loaded.data, loaded.device, rows)
    save_sheet(picture, out, loaded.described)


def reconstructions(model: Any, data: Data, device: torch.device, rows: Rows) -> Picture:
    """These test images in rows, each row with the model's reconstructions beneath it.

    Of a latent space the originals are the images that were encoded.
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
