"""The row of an artifact: its path in the folder of the run, its size and its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from genbench.errors import StoreError


def describe(kind: str, file: Path, epoch: int | None, folder: Path) -> dict[str, Any]:
    """The row of a file that was just written; a relative path is relative to the run's folder.

    Raises StoreError if the file is missing.
    """
    path = folder / file  # an absolute path stays as it is
    if not path.is_file():
        path = file.absolute()
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise StoreError(f"no file {path} to record as '{kind}' ({error.strerror})") from error
    return {
        "kind": kind,
        "path": _inside(path, folder),
        "epoch": epoch,
        "digest": digest,
        "bytes": size,
    }


def _inside(path: Path, folder: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
