"""A store whose file is deleted or replaced while a process writes to it.

SQLite goes on writing to the file that it opened, which has no name any more: all would be lost
with the process. So the file is looked for after each transaction, and where it went, everything
that the open connection still sees is copied to a file of its own.
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
    """The device and the number of the file that has the name now; None where there is none."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of a file: it may hold committed rows that are nowhere else."""
    return path.with_name(f"{path.name}-wal")


def rescue(path: Path, database: Database, *, file_is_there: bool = False) -> StoreError:
    """Copy what the open connection sees next to ``path``; return the error that names the copy.

    ``file_is_there``: it is the log alone that went.
    """
    what = f"write-ahead log {log_of(path)}" if file_is_there else f"store {path}"
    there = log_of(path).exists() if file_is_there else path.exists()
    fate = "replaced by another file" if there else "deleted or moved away"
    lost = f"the {what} was {fate} while this process wrote to it"
    copy = unused(path.with_name(f"{path.name}.rescued"))
    try:
        database.copy_to(copy)
    except Exception as error:  # whatever it is, the loss must be reported
        reason = " ".join(str(error).split())
        return StoreError(
            f"{lost}, and what it held can't be copied to {copy} ({reason}). Stop what removes it, "
            "and put a backup in its place; start runs again that are not in it"
        )
    # A write-ahead log that stayed behind would be played into whatever is put in its place.
    place = f"rm -f {path}-wal {path}-shm; mv {copy} {path}"
    return StoreError(
        f"{lost}. Everything that it held, including the latest records, is in {copy}; checkpoints "
        f"are where they were. Give --store {copy} from now on, or put it in its place ({place})",
        hint="To resume: genbench resume RUN",
    )


def backups(path: Path, schema: int | None = None) -> list[Path]:
    """The copies that were made of a store before its migration from a schema, or from any."""
    which = "*" if schema is None else str(schema)
    name = glob.escape(f"{path.name}.backup-v")
    found = {*path.parent.glob(f"{name}{which}"), *path.parent.glob(f"{name}{which}-*")}
    return sorted(file for file in found if not file.name.endswith(("-wal", "-shm", "-journal")))


def unused(path: Path) -> Path:
    """The path, or the first of ``path-2``, ``path-3``, ... that nothing has."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate
