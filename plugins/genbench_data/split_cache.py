"""The cache of decoded images: they are decoded once, then memory-mapped, with the content as key.

Law: an entry is complete or absent. It is written under a lock, in a folder with another name, and
renamed when it is complete. An entry that was damaged later is decoded again, with a warning. Small
entries are compared with their digests at each load, large ones if the size or time of a file has
changed (and by ``genbench doctor --data``).

::

    CACHE/data/KEY/train-x.npy   uint8 (N, C, H, W), or float32 codes     test-x.npy
                   train-y.npy   int64 (N,), if any     test-y.npy
                   entry.json    shapes and digests, sizes and times of the files
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from genbench import DataAccess, DataError, Split

FORMAT = 1
"""Part of every key; increase it when a change of the code changes what is decoded."""
SMALL = 64 << 20
"""The digests of splits up to this size (bytes) are verified at each load [0.15 s for MNIST]."""

_LOG = logging.getLogger(__name__)
Splits = tuple[Split, Split]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """One split that is written to the cache.

    ``shape`` is (N, C, H, W), or any shape for codes; ``chunks`` yields arrays (b, ...) of
    ``dtype``, N samples in total, in order; ``labels`` is (N,) or None.
    """

    shape: tuple[int, ...]
    chunks: Iterable[np.ndarray[Any, Any]]
    labels: np.ndarray[Any, Any] | None
    dtype: Literal["uint8", "float32"] = "uint8"


Decode = Callable[[], tuple[Decoding, Decoding]]


def splits(
    access: DataAccess,
    decode: Decode,
    *,
    what: str,
    content: str,
    doing: str = "decoding",
    **settings: int | float | str,
) -> Splits:
    """Return train and test from the cache; ``decode`` and store them if they are missing.

    The entry is keyed by the name of the data set, the hash of its ``content`` and the settings
    of the decoding. ``x`` is a read-only memory map. Of several processes one decodes and the
    others wait for it. Warns of an entry that is damaged, which is decoded again. Raises DataError
    where the cache can't be written.
    """
    entry = access.cache / "data" / _key(what, content, settings)
    found, _ = _open(entry)
    if found is None:
        with _writing(entry.parent), FileLock(entry.with_name(f"{entry.name}.lock")):
            found, fault = _open(entry)  # another process may have made it while this one waited
            if found is None:
                if fault:
                    _LOG.warning("%s: %s is damaged (%s); decoding it again", what, entry, fault)
                _make(entry, decode, _Progress(access, f"{doing} {what}"))
                found, _ = _open(entry)
    if found is None:
        raise DataError(
            f"{what}: the decoded images in {entry} can't be read; delete this folder, or set "
            f"another cache folder with GENBENCH_CACHE"
        )
    return found


def digest(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any] | None) -> str:
    """The content of a split as 32 hex digits of a SHA-256 over shape, samples and labels."""
    content = _content_hash(x.shape, str(x.dtype))
    content.update(np.ascontiguousarray(x))
    if y is not None:
        content.update(np.ascontiguousarray(y))
    return str(content.hexdigest()[:32])


def first(split: Split, limit: int) -> Split:
    """The first images of a split, with a new digest; all images for a limit of 0."""
    if not 0 < limit < len(split.x):
        return split
    x, y = split.x[:limit], None if split.y is None else split.y[:limit]
    return Split(x=x, y=y, digest=digest(x, y))


def labelled(split: Split, y: np.ndarray[Any, Any]) -> Split:
    """The cached images with other labels (N,); the digest depends on both."""
    labels = np.ascontiguousarray(y, dtype=np.int64)
    content = hashlib.sha256(f"{split.digest} labelled".encode() + labels.tobytes())
    return Split(x=split.x, y=labels, digest=content.hexdigest()[:32])


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Create a folder of the cache; raises DataError if it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "no space is left" if full else error.strerror or str(error)
        hint = "free some space, or set" if full else "set"
        raise DataError(
            f"can't write to the cache folder {folder}: {reason}; {hint} another one with "
            f"GENBENCH_CACHE"
        ) from error


def _open(entry: Path) -> tuple[Splits | None, str]:
    """The splits of an entry; or None and what is wrong with it ("" if it is absent)."""
    if not entry.is_dir():
        return None, ""
    try:
        notes = json.loads((entry / "entry.json").read_text())
        found = tuple(_open_split(entry, name, notes[name]) for name in ("train", "test"))
        changed = [name for name, note in notes.items() if note.get("files") != _marks(entry, name)]
        for name, split in zip(("train", "test"), found, strict=True):
            if split.x.nbytes <= SMALL or name in changed:
                _verify(entry, name, split)
    except (OSError, ValueError, KeyError, TypeError, EOFError, OverflowError) as error:
        return None, str(error) or type(error).__name__
    if changed:
        _remark(entry, notes)
    return (found[0], found[1]), ""


def _open_split(entry: Path, name: str, notes: dict[str, Any]) -> Split:
    """Raises ValueError or OSError if a file isn't of the form that was written."""
    x = _mapped(entry / f"{name}-x.npy", tuple(notes["shape"]), notes.get("dtype", "uint8"))
    y = None
    if notes["labels"]:
        y = np.array(_mapped(entry / f"{name}-y.npy", x.shape[:1], "int64"))
    return Split(x=x, y=y, digest=str(notes["digest"]))


def _mapped(file: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    try:
        # This checks the file's size against the shape in its header.
        found: np.ndarray[Any, Any] = np.load(file, mmap_mode="r")
    except (SyntaxError, tokenize.TokenError, EOFError, OverflowError, TypeError) as error:
        raise ValueError(f"{file.name} has a damaged header") from error  # which is Python's text
    if found.shape != shape or found.dtype != dtype or not found.flags.c_contiguous:
        raise ValueError(f"{file.name} is {found.dtype} {found.shape}, not {dtype} {shape}")
    return found


def _verify(entry: Path, name: str, split: Split) -> None:
    """Raise ValueError if the content isn't that of the digest."""
    if digest(split.x, split.y) != split.digest:
        raise ValueError(f"the {name} split has changed since it was written")


def _marks(folder: Path, name: str) -> dict[str, list[int]]:
    """Size and time of change of the files of a split."""
    files = sorted(folder.glob(f"{name}-?.npy"))
    return {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


def _remark(entry: Path, notes: dict[str, dict[str, Any]]) -> None:
    """Record the files of an entry that was verified after a copy or an update of genbench."""
    for name, note in notes.items():
        note["files"] = _marks(entry, name)
    with suppress(OSError):  # a read-only cache is verified each time
        part = entry / f"entry.json.{os.getpid()}"
        part.write_text(json.dumps(notes))
        part.replace(entry / "entry.json")


def _make(entry: Path, decode: Decode, progress: _Progress) -> None:
    """Write an entry to a temporary folder and rename it; the caller has the lock."""
    part = entry.with_name(f"{entry.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    part.mkdir()
    try:
        train, test = decode()
        progress.total = train.shape[0] + test.shape[0]
        notes = {
            "train": _write(part, "train", train, progress),
            "test": _write(part, "test", test, progress),
        }
        with _durable(part / "entry.json") as file:
            file.write(json.dumps(notes).encode())
        if entry.exists():
            shutil.rmtree(entry)
        part.rename(entry)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write(folder: Path, name: str, split: Decoding, progress: _Progress) -> dict[str, Any]:
    """Write one split in chunks; return its part of entry.json.

    It uses plain writes: on a full disk, a memory map would end the process with SIGBUS.
    """
    dtype = np.dtype(split.dtype)
    content = _content_hash(split.shape, split.dtype)
    header = {"descr": dtype.str, "fortran_order": False, "shape": split.shape}
    with _durable(folder / f"{name}-x.npy") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in split.chunks:
            images = np.ascontiguousarray(chunk, dtype=dtype)
            content.update(images)
            file.write(images.data)
            progress.add(len(images))
    if split.labels is not None:
        labels = np.ascontiguousarray(split.labels, dtype=np.int64)
        content.update(labels)
        with _durable(folder / f"{name}-y.npy") as file:
            np.lib.format.write_array(file, labels)
    return {
        "shape": split.shape,
        "dtype": split.dtype,
        "labels": split.labels is not None,
        "digest": content.hexdigest()[:32],
        "files": _marks(folder, name),
    }


@dataclass
class _Progress:
    """Images decoded so far, over both splits."""

    access: DataAccess
    what: str
    total: int = 0
    done: int = 0

    def add(self, images: int) -> None:
        self.done += images
        if self.access.progress:
            self.access.progress(self.what, self.done, self.total)


def _key(what: str, content: str, settings: Mapping[str, Any]) -> str:
    parts = json.dumps([FORMAT, content, settings], sort_keys=True)
    return f"{what}-{hashlib.sha256(parts.encode()).hexdigest()[:24]}"


def _content_hash(shape: tuple[int, ...], dtype: str = "uint8") -> Any:
    return hashlib.sha256(f"{dtype} {tuple(shape)}".encode())


@contextmanager
def _durable(path: Path) -> Iterator[Any]:
    """Open a file that is flushed to the disk when it is closed."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
