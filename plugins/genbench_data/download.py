"""Downloads that are verified by their MD5, and are either complete or absent."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from genbench import DataAccess, DataError

TIMEOUT_S = 30
CHUNK = 1 << 16
LARGEST = 8 << 30
"""The maximum size of a download in bytes; no archive is larger."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file to download: its name, its MD5 in hex, and its URLs in order of preference."""

    name: str
    md5: str
    urls: Sequence[str]


class DownloadError(Exception):
    """No source has the file; the message has the reason for each source."""


def sources(path: str, known: Sequence[str]) -> Sequence[str]:
    """The URLs of a file: in GENBENCH_MIRROR, with the layout of the data directory, if it is set.

    ``path`` is relative to the data directory; ``known`` are the public URLs.
    """
    mirror = os.environ.get("GENBENCH_MIRROR", "").rstrip("/")
    return [f"{mirror}/{path}"] if mirror else known


def download(archive: Archive, folder: Path, access: DataAccess) -> Path:
    """Download an archive to a folder and return its path; incomplete files have another name.

    Raises DownloadError if no source has it with the right MD5, and DataError if the folder can't
    be written.
    """
    part = folder / f".{archive.name}.{os.getpid()}.part"
    problems = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in archive.urls:
            problem = _fetch(url, part, archive, access)
            if problem is None:
                return part.replace(folder / archive.name)
            problems.append(f"{url}: {problem}")
    except OSError as error:
        raise unwritable(archive, folder, error) from error
    finally:
        with suppress(OSError):  # moved to its place, or never begun
            part.unlink()
    raise DownloadError("; ".join(problems))


def unwritable(archive: Archive, folder: Path, error: OSError) -> DataError:
    """The error for a folder that an archive can't be written to."""
    return DataError(
        f"can't write {archive.name} to {folder}: {error.strerror or error}; set another data "
        f"directory with --data-dir or GENBENCH_DATA"
    )


def _fetch(url: str, part: Path, archive: Archive, access: DataAccess) -> str | None:
    """Download to ``part``; return the problem with the source, or None. OSError: a disk error."""
    with part.open("wb") as file:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "genbench"})
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _reason(error)
        with response:
            return _receive(response, file, archive, access)


def _receive(
    response: http.client.HTTPResponse, file: IO[bytes], archive: Archive, access: DataAccess
) -> str | None:
    length = response.headers.get("Content-Length")
    total = int(length) if length else None
    found, done = hashlib.md5(usedforsecurity=False), 0
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            return _reason(error)
        if not chunk:
            break
        file.write(chunk)
        found.update(chunk)
        done += len(chunk)
        if done > LARGEST:
            return f"the file has more than {LARGEST:,} bytes"
        if access.progress:
            access.progress(f"downloading {archive.name}", done, total)
    if total is not None and done < total:
        return f"the connection ended after {done:,} of {total:,} bytes"
    if found.hexdigest() != archive.md5:
        return f"expected MD5 {archive.md5}, found {found.hexdigest()}"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    elif isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
