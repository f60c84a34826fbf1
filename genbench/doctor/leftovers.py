"""What killed processes and old versions left on the disk, and its removal (``doctor --clean``).

Law: nothing of a run that is alive is touched, nothing that a run still needs, and nothing that
genbench didn't make. Files next to the store are judged by the runs of every store in that folder.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from genbench.contracts import DataAccess
from genbench.errors import GenbenchError, StoreError
from genbench.store import Run, Status, Store
from genbench.store.address import Address
from genbench.store.reader import connect_read_only
from genbench.store.rescue import backups
from genbench.store.run_folders import ADDRESS_FILE, REMOVING

RUN_ID = re.compile(r"[0-9a-f]{10}")
UNTOUCHED_S = 3600.0
"""Seconds without a write after which a download or a cache entry counts as abandoned."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that nobody needs; ``what`` says why."""

    path: Path
    what: str
    bytes: int
    remove: Callable[[], None]


def find(store_url: str, access: DataAccess) -> list[Leftover]:
    """All leftovers next to a store, in the cache and in the data folder. Nothing is changed."""
    return [*_of_store(store_url), *_of_caches(access)]


def clean(store_url: str, access: DataAccess) -> list[Leftover]:
    """Remove all leftovers; return them. Raises StoreError where one can't be removed."""
    removed = []
    for leftover in find(store_url, access):
        try:
            leftover.remove()
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            raise StoreError(
                f"{leftover.path} can't be removed: {error.strerror or error}; it is a leftover "
                f"({leftover.what}), and you may delete it"
            ) from error
        removed.append(leftover)
    return removed


# --- a store


def _of_store(url: str) -> Iterator[Leftover]:
    try:
        address = Address.parse(url)
        if address.path is not None and not address.path.exists():
            return
        # Before the rows are read: a run has its row before it has its folder.
        folders = _subfolders(address.runs_folder)
        with Store.open(url, mode="read") as store:
            runs = {run.id: run for run in store.runs()}
    except GenbenchError:
        return  # it can't be judged; doctor says its error
    known = {*runs, *_runs_of_neighbours(address)}
    for folder in folders:
        yield from _of_folder(folder, address, runs, known)
    if address.path is not None:
        yield from _stale_backups(address.path, known=set(runs))


def _of_folder(
    folder: Path, address: Address, runs: dict[str, Run], known: Collection[str | None]
) -> Iterator[Leftover]:
    run_id = folder.name.removeprefix(REMOVING)
    if not RUN_ID.fullmatch(run_id) or not _belongs(folder, address):
        return
    run = runs.get(run_id)
    if run is not None and folder.name == run_id:
        if run.status is not Status.RUNNING:
            yield from _of_run(folder, run)
    elif run is not None:
        if not folder.with_name(run_id).exists():
            yield _leftover(
                folder,
                f"interrupted removal of run {run_id}; its folder is put back",
                lambda: _put_back(folder, run_id),
            )
        else:
            yield _leftover(folder, f"older files of run {run_id}")
    elif run_id not in known and None not in known:
        yield _leftover(folder, f"run {run_id} is in no store here")


def _put_back(folder: Path, run_id: str) -> None:
    folder.rename(folder.with_name(run_id))


def _belongs(folder: Path, address: Address) -> bool:
    """Whether a folder belongs to the store at this address, or to this file."""
    mark = folder / ADDRESS_FILE
    owner = mark.read_text(encoding="utf-8") if mark.is_file() else None
    return owner == (None if address.path is not None else str(address))


def _runs_of_neighbours(address: Address) -> Iterator[str | None]:
    """The ids of the runs of all stores in the folder; None where one can't be read: then it can't
    be said of any folder that it is nobody's.
    """
    for path in sorted(address.runs_folder.parent.iterdir()):
        if path == address.path or not _is_sqlite(path):
            continue
        try:
            with closing(connect_read_only(path)) as connection:
                tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'")
                if tables.fetchone():
                    yield from (row[0] for row in connection.execute("SELECT id FROM runs"))
        except sqlite3.Error:
            yield None


def _is_sqlite(path: Path) -> bool:
    try:
        if not path.is_file() or path.is_symlink():
            return False
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _of_run(folder: Path, run: Run) -> Iterator[Leftover]:
    """What is in the folder of a run that doesn't run and does not need it."""
    home = folder / "checkpoints"
    kept = max(home.glob("step-*"), default=None)
    for path in sorted(home.glob("step-*")):
        if path != kept:
            yield _leftover(path, f"older checkpoint of run {run.id}")
    for path in (*sorted(home.glob(".writing-*")), *sorted(folder.glob(".writing-*"))):
        yield _leftover(path, f"unfinished checkpoint of run {run.id}")
    for path in sorted(folder.rglob(".*.part")):
        yield _leftover(path, f"unfinished picture of run {run.id}")
    if run.status is Status.FINISHED and kept is not None and (kept / "state.pt").is_file():
        size = (kept / "state.pt").stat().st_size
        what = f"training state of run {run.id}, which is finished"
        yield Leftover(
            path=kept / "state.pt", what=what, bytes=size, remove=lambda: _drop_state(folder)
        )


def _drop_state(folder: Path) -> None:
    from genbench.engine import drop_training_state

    drop_training_state(folder)


def _stale_backups(path: Path, *, known: Collection[str]) -> Iterator[Leftover]:
    """Backups with no run that isn't in the store, which was migrated and can be read."""
    for backup in backups(path):
        try:
            with closing(connect_read_only(backup)) as connection:
                held = {row[0] for row in connection.execute("SELECT id FROM runs")}
        except sqlite3.Error:
            continue
        if held <= set(known):
            yield _leftover(backup, "backup from before a migration; all its runs are in the store")
    part = path.parent.glob(f".{path.name}.backup-*.part")
    yield from (_leftover(p, "unfinished backup") for p in sorted(part) if _is_untouched(p))


# --- caches and data


def _of_caches(access: DataAccess) -> Iterator[Leftover]:
    in_cache = (*access.cache.rglob("*.part"), *access.cache.rglob("*.tmp"))
    # No deeper folder is read, because a folder of images may hold a million files.
    in_data = (*access.root.glob(".*.part"), *access.root.glob("*/.*.part"))
    whole: set[Path] = set()
    for path in sorted({*in_cache, *in_data}):
        if _is_untouched(path) and not whole & set(path.parents):
            whole.add(path)
            yield _leftover(path, "unfinished download or cache entry")


def _is_untouched(path: Path) -> bool:
    try:
        latest = max(p.lstat().st_mtime for p in (path, *path.rglob("*")))
    except OSError:  # it is being moved to its place
        return False
    return time.time() - latest > UNTOUCHED_S


# --- files


def _subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, hidden ones too; links are nobody's."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _leftover(path: Path, what: str, remove: Callable[[], None] | None = None) -> Leftover:
    return Leftover(path=path, what=what, bytes=_size(path), remove=remove or (lambda: _rm(path)))


def _size(path: Path) -> int:
    files = (path, *path.rglob("*")) if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _rm(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
