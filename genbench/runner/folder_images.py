"""A person's own pictures, read as a run's data is: by the data set ``image-folder``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from genbench.contracts import DataAccess, DataSpec, Split
from genbench.errors import IncompatibleError
from genbench.registry import Registry
from genbench.settings import validate

READER = "image-folder"


def images_in(
    folder: Path, data: DataSpec, registry: Registry, access: DataAccess
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """All pictures of a folder in the size of ``data``: uint8 (N, C, H, W), and their classes.

    The classes, int64 (N,), are known if its subfolders are named after classes of ``data``; else
    they are None. Raises DataError for a folder or a file that can't be read.
    """
    shape = data.shown.shape
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise IncompatibleError(
            f"--images {folder}: pictures are read as grey or RGB squares, and "
            f"'{data.shown.name}' has shape {shape}"
        )
    values = {"path": str(folder), "size": shape[1], "channels": shape[0]}
    cls = registry.settings("dataset", READER)
    assert cls is not None, "a data set has settings"
    settings = validate(cls, values, owner=f"dataset '{READER}'")
    found = registry.target("dataset", READER)(settings).load(access)
    both = (found.train, found.test)
    images = np.concatenate([np.asarray(split.x) for split in both])
    labels = [_labels(split, found.spec.class_names, data.class_names) for split in both]
    known = [label for label in labels if label is not None]
    return images, np.concatenate(known) if len(known) == len(both) else None


def _labels(
    split: Split, given: tuple[str, ...], names: tuple[str, ...]
) -> np.ndarray[Any, Any] | None:
    """The classes of a split by the names of the run's data; None if a name is none of them."""
    if split.y is None or not set(given) <= set(names):
        return None
    numbers = np.array([names.index(name) for name in given], np.int64)
    return np.asarray(numbers[split.y], np.int64)
