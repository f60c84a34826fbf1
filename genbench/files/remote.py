"""Folders of files at an fsspec address, such as ``s3://bucket/bench``, with copies on a machine.

    ADDRESS/<name>/files.json             the index: path, size and SHA-256 of each file
    ADDRESS/<name>/checkpoints/...        the files

Law: the index is replaced last, and no file that it names is ever overwritten, so that whoever
reads it finds the whole folder as it was at one moment, whenever an upload is killed. What is
downloaded is compared with its digest and renamed into place.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from genbench.errors import DiskFullError, GenbenchError, StoreError
from genbench.formatting import without_passwords

INDEX = "files.json"
FORMAT = 1
PART = ".part-"
"""The beginning of the names of unfinished downloads; hidden files are never uploaded."""
AGAIN = "To resume a run: genbench resume RUN"

FileEntry = Mapping[str, Any]
"""A file in an index: ``at`` (its path below the folder there), ``bytes`` and ``sha256``."""


class RemoteFolders:
    """The folders at an address. Methods raise StoreError, or DiskFullError without space."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._digests: dict[tuple[str, int, int], str] = {}

    @cached_property
    def _connected(self) -> tuple[Any, str]:
        """The file system, and the path of the address in it."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise StoreError(
                f"files at {self} need the package fsspec: pip install 'genbench[files]'"
            ) from error
        try:
            fs, path = url_to_fs(self.address)
        except ImportError as error:  # such as "Install s3fs to access S3"
            raise StoreError(f"files at {self} can't be used: {_brief(error)}") from error
        except ValueError as error:
            raise StoreError(
                f"'{self}' is not an address for files ({_brief(error)}); give a folder, or an "
                "fsspec address such as s3://bucket/folder"
            ) from error
        # The paths of a chained "dir::..." are relative to its folder already.
        return fs, "." if fs.protocol == "dir" else path.rstrip("/")

    def index(self, name: str) -> dict[str, FileEntry]:
        """The files of a folder by their paths; empty if nothing was uploaded."""
        fs, root = self._connect("read")
        with self._errors("read"):
            try:
                text = fs.cat_file(f"{root}/{name}/{INDEX}")
            except FileNotFoundError:
                return {}
        try:
            files: dict[str, FileEntry] = json.loads(text)["files"]
            paths = [path for known, entry in files.items() for path in (known, entry["at"])]
            whole = all(isinstance(entry["sha256"], str) for entry in files.values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self}/{name}/{INDEX} is damaged; put a backup in its place"
            ) from error
        if not whole or not all(map(_stays_inside, paths)):
            raise StoreError(f"{self}/{name}/{INDEX} is not an index of genbench")
        return files

    def fetch(self, name: str, folder: Path, wanted: Callable[[str], bool] | None = None) -> bool:
        """Download the files that differ from the copies in ``folder``; False if there are none.

        Local files that are not there are removed, unless only some files are ``wanted``.
        """
        files = self.index(name)
        if not files:
            return False
        fs, root = self._connect("read")
        for path, entry in files.items():
            if (wanted is None or wanted(path)) and not self._is_equal(folder / path, entry):
                with self._errors("read"):
                    _download(fs, f"{root}/{name}/{entry['at']}", folder / path, entry["sha256"])
        for file in visible_files(folder) if wanted is None else ():
            if file.relative_to(folder).as_posix() not in files:
                file.unlink(missing_ok=True)
                with suppress(OSError):
                    file.parent.rmdir()
        return True

    def upload(
        self, name: str, folder: Path, only: Iterable[Path] | None = None
    ) -> Callable[[], None]:
        """Upload new and changed files; call the result to make them those of the folder.

        Files that ``folder`` no longer has are forgotten then, unless ``only`` some are added.
        """
        old = self.index(name)
        new = {} if only is None else dict(old)
        taken = {entry["at"] for entry in old.values()}
        for file in visible_files(folder) if only is None else only:
            path = file.relative_to(folder).as_posix()
            digest = self._digest(file)
            if path in old and old[path]["sha256"] == digest:
                new[path] = old[path]
                continue
            at = path if path not in taken else _versioned(path, digest)
            self._send(file, f"{name}/{at}")
            new[path] = {"at": at, "bytes": file.stat().st_size, "sha256": digest}
        return lambda: self._commit(name, old, new)

    def remove(self, name: str) -> None:
        """Remove a folder: its index first, so that one that is partly removed is not found."""
        fs, root = self._connect("write")
        with self._errors("write"):
            for path in (f"{root}/{name}/{INDEX}", f"{root}/{name}"):
                with suppress(FileNotFoundError):
                    fs.rm(path, recursive=True)

    def _commit(
        self, name: str, old: Mapping[str, FileEntry], new: Mapping[str, FileEntry]
    ) -> None:
        fs, root = self._connect("write")
        index = f"{root}/{name}/{INDEX}"
        part = f"{index}.{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT, "files": new}, indent=1).encode()
        with self._errors("write"):
            self._with_parent(part, lambda: fs.pipe_file(part, text))
            fs.mv(part, index)
        for gone in {entry["at"] for entry in old.values()} - {e["at"] for e in new.values()}:
            with suppress(Exception):  # it costs space and nothing else
                fs.rm_file(f"{root}/{name}/{gone}")

    def _send(self, file: Path, path: str) -> None:
        fs, root = self._connect("write")
        with self._errors("write"):
            self._with_parent(f"{root}/{path}", lambda: fs.put_file(str(file), f"{root}/{path}"))

    def _with_parent(self, path: str, write: Callable[[], Any]) -> None:
        """Write a file, and make the folder above it if that has to exist first.

        Nothing above the address itself is made: a bucket that is missing was mistyped.
        """
        fs, root = self._connect("write")
        try:
            write()
        except FileNotFoundError:
            if not fs.exists(root) and not fs.exists(fs._parent(root)):
                raise
            fs.makedirs(fs._parent(path), exist_ok=True)
            write()

    def _is_equal(self, file: Path, entry: FileEntry) -> bool:
        with suppress(FileNotFoundError):
            return bool(
                file.stat().st_size == entry["bytes"] and self._digest(file) == entry["sha256"]
            )
        return False

    def _digest(self, file: Path) -> str:
        found = file.stat()
        key = (str(file), found.st_size, found.st_mtime_ns)
        if key not in self._digests:
            with file.open("rb") as opened:
                self._digests[key] = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._digests[key]

    def _connect(self, doing: str) -> tuple[Any, str]:
        with self._errors(doing):
            return self._connected

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """One sentence for whatever a file system of fsspec raises; they share no base class."""
        try:
            yield
        except GenbenchError:
            raise
        except Exception as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    f"no space is left for files at {self}; what was written is safe. Free some "
                    "space",
                    hint=AGAIN,
                ) from error
            reason = without_passwords(_brief(error))
            if not isinstance(error, FileNotFoundError):
                reason = f"{type(error).__name__}: {reason}"
            elif error.filename:
                reason = f"there is no {reason}"
            raise StoreError(f"files at {self} can't be {_PAST[doing]} ({reason})") from error

    def __str__(self) -> str:
        return without_passwords(self.address)


_PAST = {"read": "read", "write": "written"}


def visible_files(folder: Path) -> list[Path]:
    """The regular files of a folder, without what is hidden or temporary."""
    found = sorted(folder.rglob("*")) if folder.is_dir() else []
    return [
        path
        for path in found
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _download(fs: Any, source: str, target: Path, sha256: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{PART}{secrets.token_hex(4)}")
    try:
        fs.get_file(source, str(part))
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise StoreError(f"{source} is damaged: its SHA-256 is not that of the index")
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _versioned(path: str, sha256: str) -> str:
    """Another name for other content, since the index still names the old one."""
    found = PurePosixPath(path)
    return str(found.with_name(f"{found.stem}.{sha256[:12]}{found.suffix}"))


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and path[0] != "/" and ".." not in parts and "\\" not in path


def _brief(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return str(error.filename)
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
