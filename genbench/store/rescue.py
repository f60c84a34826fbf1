"""Rescue the content of a store if its file is deleted or replaced while a process writes to it.

SQLite continues to write to the file that it opened. Without a name, that file disappears with the
process. So its identity is checked after each transaction; if it has changed, everything that the
open connection can read is copied to a new file.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.errors import StoreError

if TYPE_CHECKING:
    from genbench.store.database import Database

FileIdentity = tuple[int, int]


def file_identity(path: Path | None) -> FileIdentity | None:
    """The device and the inode of the file that has this name now; None if there is none."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of a file, which may have committed rows that the file lacks."""
    return path.with_name(f"{path.name}-wal")


def rescue(path: Path, database: Database, *, file_is_there: bool = False) -> StoreError:
    """Copy the content of the open connection to a file next to ``path``; return the error for it.

    ``file_is_there`` means that only the log was removed.
    """
    what = f"write-ahead log {log_of(path)}" if file_is_there else f"store {path}"
    there = log_of(path).exists() if file_is_there else path.exists()
    fate = "replaced by another file" if there else "deleted or moved away"
    lost = f"the {what} was {fate} while this process wrote to it"
    copy = unused(path.with_name(f"{path.name}.rescued"))
    try:
        database.copy_to(copy)
    except Exception as error:  # the loss must be reported whatever else goes wrong
        reason = " ".join(str(error).split())
        return StoreError(
            f"{lost}, and its content can't be copied to {copy} ({reason}). Stop whatever removes "
            "it, put a backup in its place, and repeat the runs that are not in it"
        )
    # SQLite would apply a remaining write-ahead log to any file that is put in its place.
    place = f"rm -f {path}-wal {path}-shm; mv {copy} {path}"
    return StoreError(
        f"{lost}. All of its content, including the latest records, is in {copy}; the checkpoints "
        f"are unchanged. Use --store {copy} from now on, or put it in its place ({place})",
        hint="To resume: genbench resume RUN",
    )


def backups(path: Path, schema: int | None = None) -> list[Path]:
    """The backups of a store from before its migration from a schema, or from any schema."""
    which = "*" if schema is None else str(schema)
    name = glob.escape(f"{path.name}.backup-v")
    found = {*path.parent.glob(f"{name}{which}"), *path.parent.glob(f"{name}{which}-*")}
    return sorted(file for file in found if not file.name.endswith(("-wal", "-shm", "-journal")))


def unused(path: Path) -> Path:
    """The path, or the first of ``path-2``, ``path-3``, ... that doesn't exist."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate
