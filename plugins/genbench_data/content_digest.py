"""A hash of the content of files; they are read once, then identified by path, size and time."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genbench import DataAccess, DataError

LARGEST = 1 << 30
"""The maximum size of a file in bytes; no file of a data set is larger."""
SETTLED_S = 2.0
"""A file that changed within this time may change again without a change of its time stamp."""


def content_digest(access: DataAccess, folder: Path, paths: Sequence[str], *, what: str) -> str:
    """SHA-256 over the relative paths and the bytes of files, as 64 hex digits.

    It is cached with (path, size, time of change) as key, so that the files of an unchanged folder
    are not read again. Raises DataError, with its name, for a file that can't be read, isn't a
    regular file (a pipe or a device would never end) or is larger than `LARGEST` bytes.
    """
    fingerprint, newest = _fingerprint(folder, paths, what)
    note = access.cache / "data" / "index" / fingerprint
    known = _remembered(note)
    if known is not None:
        return known
    content = hashlib.sha256()
    for done, path in enumerate(paths):
        if access.progress:
            access.progress(f"reading {what}", done, len(paths))
        content.update(
            f"{path}\0{_file_digest(folder / path, what)}\n".encode("utf-8", "surrogateescape")
        )
    if access.progress:
        access.progress(f"reading {what}", len(paths), len(paths))
    if time.time() - newest > SETTLED_S:
        _remember(note, content.hexdigest())
    return content.hexdigest()


def _fingerprint(folder: Path, paths: Sequence[str], what: str) -> tuple[str, float]:
    """A hash of the paths, sizes and times of files, and the newest time in seconds."""
    marks = hashlib.sha256(os.fsencode(folder.resolve()))
    newest = 0.0
    for path in paths:
        found = readable(folder / path, what)
        marks.update(
            f"\0{path}\0{found.st_size}\0{found.st_mtime_ns}".encode("utf-8", "surrogateescape")
        )
        newest = max(newest, found.st_mtime)
    return marks.hexdigest(), newest


def readable(path: Path, what: str) -> os.stat_result:
    """The size and times of a regular file (links followed). Raises DataError for another kind."""
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(what, path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(
            f"{what}: {path} is not a regular file but {_kind(found.st_mode)}; delete it or move "
            f"it out of the folder"
        )
    if found.st_size > LARGEST:
        raise DataError(
            f"{what}: {path} has {found.st_size:,} bytes, more than the maximum of {LARGEST:,}; "
            f"delete it or move it out of the folder"
        )
    return found


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((name for test, name in kinds.items() if test(mode)), "a device")


def _file_digest(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(what, path, error) from error


def unreadable(what: str, path: Path, error: OSError) -> DataError:
    """The error for a file that can't be read."""
    return DataError(f"{what}: {path} can't be read: {error.strerror or error}")


def _remembered(note: Path) -> str | None:
    try:
        text = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text if len(text) == 64 else None


def _remember(note: Path, digest: str) -> None:
    """Save a digest; errors are ignored, since the cache may be read-only."""
    part = note.with_name(f"{note.name}.{os.getpid()}")
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(digest, encoding="ascii")
        part.replace(note)
