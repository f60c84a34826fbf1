"""What a stored run makes of test samples: their codes, and their reconstructions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench.contracts import Conditional, DataSpec
from genbench.errors import SamplingError
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent.classes import class_names
from genbench.latent.codes import Array, view_of
from genbench.latent.needs import need, need_images
from genbench.latent.spaces import at_random, encoded, held_out, originals
from genbench.pictures.class_scatter import Classes, class_scatter
from genbench.pictures.ridgeline import class_ridgelines
from genbench.pictures.samples import as_images, save_image, write_arrays
from genbench.pictures.sheet import Sheet, save_sheet

PAIRS = 4
"""Images and their reconstructions in one row."""


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
        save_image(torch.from_numpy(drawn(codes)).permute(2, 0, 1), out)


def drawn(codes: Codes) -> Array:
    """Codes as a picture, RGB uint8: ridges along one dimension, a scatter in two."""
    view = view_of(codes.mean)
    classes = None
    if codes.labels is not None:
        count = codes.data.classes or int(codes.labels.max()) + 1
        classes = Classes(labels=codes.labels, names=class_names(range(count), codes.data))
    if len(view.axes) == 1:
        return class_ridgelines(view.places[:, 0], view.axes[0], classes)
    return class_scatter(view.places, (view.axes[0], view.axes[1]), classes)


def _save_arrays(codes: Codes, rows: Array, out: Path) -> None:
    arrays = {"codes": codes.mean, "logvars": codes.logvar, "index": rows}
    if codes.labels is not None:
        arrays["labels"] = codes.labels
    write_arrays(out, arrays)


def reconstruct(loaded: LoadedRun, out: Path, *, n: int = 32, seed: int = 0) -> None:
    """Draw ``n`` random test images, each with its reconstruction at its right, into ``out``."""
    need_images(loaded)
    need(loaded, "reconstructs", hint="genbench models says which ones do")
    data, device = loaded.data, loaded.device
    model: Any = loaded.model
    rows = at_random(data, n, seed)
    x, y = held_out(data, rows)
    told = y.to(device) if y is not None and isinstance(model, Conditional) else None
    with torch.no_grad():
        again = model.reconstruct(x.to(device), told)
        pairs = torch.stack((originals(data, rows, device), as_images(again, data)), dim=1)
    columns = 2 * min(PAIRS, len(pairs))
    save_sheet(
        Sheet(
            images=pairs.flatten(0, 1),
            columns=columns,
            column_names=("original", "rebuilt") * (columns // 2),
            gaps=range(1, columns, 2),
        ),
        out,
    )
