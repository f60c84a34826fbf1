"""Folders that come packed in one archive: unpacked whole or not at all, and nowhere else.

::

    FOLDER/NAME            the unpacked folder
    FOLDER/ARCHIVE         what it comes from; one that was downloaded goes when it is unpacked
    FOLDER/.NAME.part      on the way; left behind only by a process that was killed
    FOLDER/.NAME.lock      of several processes one unpacks and the others wait for it
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

from filelock import FileLock

from genbench import DataAccess, DataError
from genbench_data.download import CHUNK, Archive

TOLD_EVERY = 200
"""Files between two reports of progress."""

CORRUPT = (tarfile.TarError, zipfile.BadZipFile, BadGzipFile, EOFError, zlib.error, ValueError)


def unpacked(
    name: str,
    archive: Archive,
    folder: Path,
    access: DataAccess,
    fetch: Callable[[Archive, Path, DataAccess], object],
) -> Path:
    """Return ``folder / name``; where it is absent, unpack the archive that holds it.

    An archive that lies in ``folder`` already is checked by its MD5 and stays; else
    ``fetch(archive, folder, access)`` puts it there (its errors pass through), and it goes when it
    is unpacked.
    Raises DataError where an archive isn't what it should be, or the folder can't be written.
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
    """Hold the lock of a folder to be; say in one sentence why it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):
            yield
    except OSError as error:
        raise DataError(
            f"can't unpack {name} in {folder}: {error.strerror or error}; free some space, or name "
            f"another data directory by --data-dir or GENBENCH_DATA"
        ) from error


def _check(packed: Path, md5: str, access: DataAccess) -> None:
    """Raise DataError where an archive isn't the published one."""
    found, done, size = hashlib.md5(usedforsecurity=False), 0, packed.stat().st_size
    with packed.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            done += len(chunk)
            if access.progress:
                access.progress(f"checking {packed.name}", done, size)
    if found.hexdigest() != md5:
        raise DataError(
            f"{packed} is not the published archive: MD5 {md5} expected, {found.hexdigest()} "
            f"found ({size:,} bytes); delete it, and it is downloaded again"
        )


def _unpack(packed: Path, target: Path, access: DataAccess) -> None:
    """Unpack beside the target and move it there; the lock is held."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        try:
            _extract(packed, part, access)
        except CORRUPT as error:
            raise DataError(
                f"{packed} can't be unpacked ({error}); delete it, and it is downloaded again"
            ) from error
        if not (part / target.name).is_dir():
            raise DataError(f"{packed} holds no folder {target.name}; delete the archive")
        (part / target.name).rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(packed: Path, into: Path, access: DataAccess) -> None:
    """All files of a zip or a tar archive. What would be written elsewhere is refused.

    zipfile takes ".." and leading slashes off names by itself, tarfile raises where told to.
    """
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as file:
            entries = file.infolist()
            file.extractall(into, members=_counted(entries, packed, access, len(entries)))
    else:
        with tarfile.open(packed) as tar:
            tar.extractall(into, members=_counted(tar, packed, access, None), filter="data")


def _counted(entries: Any, packed: Path, access: DataAccess, total: int | None) -> Iterator[Any]:
    """The entries of an archive, with progress in files."""
    for done, entry in enumerate(entries, 1):
        yield entry
        if access.progress and (done % TOLD_EVERY == 0 or done == total):
            access.progress(f"unpacking {packed.name}", done, total)
