"""Check loaded data against its spec, and compute digests of its content.

Cached references and floors depend on the digests of splits, and so does the comparison of scores.
A digest that a plugin wrote by hand, or kept although the content changed, is therefore not
trusted: the content itself is hashed, and the digest of every split includes that hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genbench.contracts import Data, DataSpec, Split
from genbench.errors import PluginError

WHOLE = 64 << 20
"""Splits up to this size (bytes) are read in full [0.15 s for MNIST], larger ones in part."""
ROWS = 1024
"""Number of samples that are read from a larger split, evenly spaced from first to last."""

Array = np.ndarray[Any, Any]


def checked(data: Data, owner: str) -> Data:
    """The data with digests of its content. Raises PluginError if it doesn't match its spec.

    ``owner`` names the data in messages: "data set 'mnist'". The check covers shape, type, number
    and finiteness of samples and labels; only some samples of a split with more than `WHOLE` bytes
    are read.
    """
    for name, split, size in (
        ("train", data.train, data.spec.train),
        ("test", data.test, data.spec.test),
    ):
        fault = next(_faults(split, data.spec, size), None)
        if fault:
            raise PluginError(f"{owner}: its {name} split {fault}; this is a bug of the plugin")
    return replace(data, train=_named(data.train), test=_named(data.test))


def _faults(split: Split, spec: DataSpec, size: int) -> Iterator[str]:
    """What is wrong with a split, most important first; ``size`` 0 means that it isn't known."""
    x, y = split.x, split.y
    dtype = "uint8" if spec.bounded else "float32"
    if not isinstance(x, np.ndarray) or x.dtype != dtype or x.shape[1:] != tuple(spec.shape):
        yield f"holds {_what(x)}; its spec says {dtype} (N, {', '.join(map(str, spec.shape))})"
    elif not len(x) or (size and len(x) != size):
        yield f"holds {len(x):,} samples; its spec says {size or 'at least 1'}"
    elif x.dtype == np.float32 and not all(np.isfinite(part).all() for part in _parts(x, WHOLE)):
        yield "holds values that are not finite (nan or inf)"
    yield from _label_faults(y, len(x), spec.classes)


def _label_faults(y: Array | None, n: int, classes: int | None) -> Iterator[str]:
    if y is None:
        if classes is not None:
            yield f"has no labels, though its spec names {classes} classes"
        return
    if not isinstance(y, np.ndarray) or y.dtype != np.int64 or y.shape != (n,):
        yield f"has labels of {_what(y)}; expected int64 ({n},)"
    elif classes is not None and not (y.min() >= 0 and y.max() < classes):
        yield f"has labels from {y.min()} to {y.max()}; its spec names {classes} classes"


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


def _named(split: Split) -> Split:
    """The split with a digest of its content; its own digest is kept if it is one."""
    content = content_digest(split, whole=WHOLE)
    if split.digest == content:
        return split
    # The plugin's digest is part of it: it may say that samples change with each minibatch.
    both = hashlib.sha256(f"{split.digest} {content}".encode()).hexdigest()
    return replace(split, digest=both[:32])


def content_digest(split: Split, *, whole: int) -> str:
    """32 hex digits of a SHA-256 over type, shape, samples and labels.

    Only `ROWS` samples of a split with more than ``whole`` bytes are read.
    """
    found = hashlib.sha256(f"{split.x.dtype} {split.x.shape}".encode())
    for part in _parts(split.x, whole):
        found.update(part.tobytes())
    if split.y is not None:
        found.update(split.y.tobytes())
    return found.hexdigest()[:32]


def _parts(x: Array, whole: int) -> Iterator[Array]:
    """All samples in chunks; only `ROWS` of them if there are more than ``whole`` bytes."""
    if x.nbytes <= whole:
        yield from (x[start : start + ROWS] for start in range(0, len(x), ROWS))
        return
    for row in np.unique(np.linspace(0, len(x) - 1, ROWS).astype(np.int64)):
        yield x[row : row + 1]


def decoded(cache: Path) -> Iterator[tuple[Path, str]]:
    """Read each entry of decoded data in a cache folder in full; yield its fault, or "".

    The shapes, types and digests of an entry are in its entry.json.
    """
    for file in sorted((cache / "data").glob("*/entry.json")):
        try:
            notes = json.loads(file.read_text())
            faults = [_entry_fault(file.parent, name, note) for name, note in notes.items()]
        except Exception as error:  # numpy parses its header as Python: damage may raise any error
            faults = [str(error) or type(error).__name__]
        yield file.parent, "; ".join(filter(None, faults))


def _entry_fault(entry: Path, name: str, notes: Mapping[str, Any]) -> str:
    x = np.load(entry / f"{name}-x.npy", mmap_mode="r")
    y = np.load(entry / f"{name}-y.npy") if notes["labels"] else None
    found = content_digest(Split(x=x, y=y, digest=""), whole=x.nbytes)
    return "" if found == notes["digest"] else f"the {name} split has changed since it was written"
