"""Errors of a database as one sentence each: the store, what happened, and the fix."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from genbench.errors import DiskFullError, GenbenchError, LockedError, StoreError
from genbench.store.address import Address

BUSY_TIMEOUT_S = 30.0
"""The maximum seconds that a connection waits for the transaction of another process."""

Patience = Callable[[float], bool]
"""Whether to continue waiting for the lock of another process, given the seconds waited so far.

It is called about twice a second, in the waiting thread, and may raise an error to end the wait.
"""


def up_to(seconds: float) -> Patience:
    """A patience that ends after some seconds."""
    return lambda waited: waited < seconds


def as_usual(waited: float) -> bool:
    """The patience of all transactions that need no other."""
    return waited < BUSY_TIMEOUT_S


_SENTENCES = {
    "SQLITE_BUSY": "has been locked by another process for more than {wait:.0f} s; try again when "
    "that process is done",
    "SQLITE_LOCKED": "is locked by another process; try again when that process is done",
    "SQLITE_READONLY": "is read-only, and this command writes; make the file and its folder "
    "writable, or give another --store",
    "SQLITE_PERM": "can't be opened: no permission; give another --store",
    "SQLITE_CANTOPEN": "can't be opened; check that its folder exists and is yours, or give "
    "another --store",
    "SQLITE_NOTADB": "is not a database; give another --store",
    "SQLITE_CORRUPT": "is damaged ({error}); put a backup in its place, or recover what can be "
    "read: sqlite3 FILE .recover",
}
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")


@contextmanager
def store_errors(address: Address) -> Iterator[None]:
    """Raise a StoreError for each error of sqlite3, SQLAlchemy and the file system inside."""
    try:
        yield
    except GenbenchError:
        raise
    except Exception as error:  # the errors of SQLAlchemy's drivers have no common base class
        failure = translate(error, address)
        if failure is None:
            raise
        raise failure from error


def translate(error: BaseException, address: Address) -> StoreError | None:
    """The StoreError for an error of a database or a file; None for any other error."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, address)
    if getattr(cause, "sqlstate", None) == "53100" or _is_enospc(cause):
        return _disk_full(address)
    if isinstance(cause, UnicodeDecodeError):  # SQLite quotes the damaged text
        found = cause.object.decode(errors="backslashreplace")
        return StoreError(f"the store {address} {_SENTENCES['SQLITE_CORRUPT'].format(error=found)}")
    if isinstance(cause, OSError):
        return StoreError(f"the store {address} can't be used: {cause.strerror or cause}")
    if _is_gone(error, cause):
        return StoreError(f"the store {address} can't be reached ({_first_line(cause)})")
    if hasattr(error, "orig") or hasattr(cause, "sqlstate"):
        return StoreError(f"the store {address} failed: {_first_line(cause)}")
    return None


def _first_line(cause: Any) -> str:
    """The first line of an error's message; its type if it has none."""
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _is_gone(error: Any, cause: Any) -> bool:
    """Whether a server has ended the connection, or doesn't take a new one."""
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return type(cause).__name__ == "OperationalError"
    return getattr(error, "connection_invalidated", False) or state[:2] in ("08", "57")


def _of_sqlite(error: sqlite3.Error, address: Address) -> StoreError:
    name: str = getattr(error, "sqlite_errorname", None) or ""
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _no_space(address)):
        return _disk_full(address)
    for known, sentence in _SENTENCES.items():
        if name.startswith(known):
            text = sentence.format(error=error, wait=BUSY_TIMEOUT_S)
            kind = LockedError if known in _LOCKED else StoreError
            return kind(f"the store {address} {text}")
    return StoreError(f"the store {address} failed: {error}")


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether another connection has the lock."""
    return error.sqlite_errorname.startswith("SQLITE_BUSY")


def _disk_full(address: Address) -> DiskFullError:
    return DiskFullError(
        f"no space is left for the store {address}; what was written is safe. Free some space",
        hint="To resume a run: genbench resume RUN",
    )


def _is_enospc(error: Any) -> bool:
    return isinstance(error, OSError) and error.errno in (28, 122)  # ENOSPC, EDQUOT


def _no_space(address: Address) -> bool:
    # SQLite reports a full disk as an I/O error when it maps a file (-shm).
    return address.path is not None and shutil.disk_usage(address.path.parent).free < 1 << 20
