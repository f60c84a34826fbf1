"""Unpack folders from archives, completely or not at all.

::

    FOLDER/NAME            the unpacked folder
    FOLDER/ARCHIVE         the archive; if it was downloaded, it is removed after unpacking
    FOLDER/.NAME.part      temporary files, which only a killed process leaves behind
    FOLDER/.NAME.lock      a lock, so that only one process unpacks
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import TypeVar

from filelock import FileLock

from genbench import DataAccess, DataError
from genbench_data.download import CHUNK, Archive

TOLD_EVERY = 200
"""The number of files between two reports of progress."""
MOST_BYTES = 16 << 30
"""The maximum unpacked size of an archive in bytes: ten times that of the largest data set."""

Entry = TypeVar("Entry", zipfile.ZipInfo, tarfile.TarInfo)

CORRUPT = (tarfile.TarError, zipfile.BadZipFile, BadGzipFile, EOFError, zlib.error, ValueError)


def unpacked(
    name: str,
    archive: Archive,
    folder: Path,
    access: DataAccess,
    fetch: Callable[[Archive, Path, DataAccess], object],
) -> Path:
    """Return ``folder / name``; if it is missing, unpack it from the archive.

    An archive that exists in ``folder`` is verified by its MD5 and kept; else ``fetch(archive,
    folder, access)`` downloads it, and it is removed after unpacking. Raises DataError if the
    archive is not the published one or the folder can't be written, and the errors of ``fetch``.
    """
    target, packed = folder / name, folder / archive.name
    if target.is_dir():
        return target
    with _alone(folder, name):
        if target.is_dir():  # another process made it while this one waited
            return target
        kept = packed.is_file()
        if kept:
            _check(packed, archive.md5, access)
        else:
            fetch(archive, folder, access)
        _unpack(packed, target, access)
        if not kept:
            packed.unlink()
    return target


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Acquire the lock of a folder; raises DataError if it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):
            yield
    except OSError as error:
        raise DataError(
            f"can't unpack {name} in {folder}: {error.strerror or error}; free some space, or set "
            f"another data directory with --data-dir or GENBENCH_DATA"
        ) from error


def _check(packed: Path, md5: str, access: DataAccess) -> None:
    """Raise DataError if an archive is not the published one."""
    found, done, size = hashlib.md5(usedforsecurity=False), 0, packed.stat().st_size
    with packed.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            done += len(chunk)
            if access.progress:
                access.progress(f"checking {packed.name}", done, size)
    if found.hexdigest() != md5:
        raise DataError(
            f"{packed} is not the published archive: expected MD5 {md5}, found "
            f"{found.hexdigest()} ({size:,} bytes); delete it to download it again"
        )


def _unpack(packed: Path, target: Path, access: DataAccess) -> None:
    """Unpack to a temporary folder and rename it; the caller has the lock."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    try:
        try:
            _extract(packed, part, access)
        except CORRUPT as error:
            raise DataError(
                f"{packed} can't be unpacked ({error}); delete it to download it again"
            ) from error
        if not (part / target.name).is_dir():
            raise DataError(f"{packed} has no folder {target.name}; delete the archive")
        (part / target.name).rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(packed: Path, into: Path, access: DataAccess) -> None:
    """Extract a zip or tar archive, which may only have regular files and folders."""
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as file:
            entries = file.infolist()
            file.extractall(into, members=_checked(entries, packed, access, len(entries)))
    else:
        with tarfile.open(packed) as tar:
            tar.extractall(into, members=_checked(tar, packed, access, None), filter="data")


def _checked(
    entries: Iterable[Entry], packed: Path, access: DataAccess, total: int | None
) -> Iterator[Entry]:
    """The entries of an archive, with progress in files.

    Raises ValueError for a link, a device or a path outside the folder, and if the files have more
    than `MOST_BYTES` in total (both libraries write at most the sizes given in the archive).
    """
    size = 0
    for done, entry in enumerate(entries, 1):
        name, kind, held = _described(entry)
        path = PurePosixPath(name.replace("\\", "/"))
        if kind not in (stat.S_IFREG, stat.S_IFDIR) or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"it has {name}, which is not a regular file or folder inside it")
        size += held
        if size > MOST_BYTES:
            raise ValueError(f"it unpacks to more than the maximum of {MOST_BYTES:,} bytes")
        yield entry
        if access.progress and (done % TOLD_EVERY == 0 or done == total):
            access.progress(f"unpacking {packed.name}", done, total)


def _described(entry: zipfile.ZipInfo | tarfile.TarInfo) -> tuple[str, int, int]:
    """Name, file type as in `stat` (0 for neither file nor folder), and size in bytes."""
    if isinstance(entry, zipfile.ZipInfo):
        plain = stat.S_IFDIR if entry.is_dir() else stat.S_IFREG
        # The type is 0 if the archive was made on a system without file types.
        return entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16) or plain, entry.file_size
    kind = stat.S_IFREG if entry.isreg() else stat.S_IFDIR if entry.isdir() else 0
    return entry.name, kind, entry.size
