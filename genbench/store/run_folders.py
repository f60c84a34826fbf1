"""The files of the runs: their folders on this machine, their copies elsewhere, their removal."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.errors import StoreError, UsageError
from genbench.store.failures import store_errors
from genbench.store.process import Owner
from genbench.store.run_files import RunFiles, parse_files
from genbench.store.transactions import OpenStore

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

REMOVING = ".removing-"
"""The beginning of the name of a run's folder while it is removed."""
RESERVE, RESERVED_BYTES = ".reserve", 1 << 18
"""A file next to the folders of the runs: it frees its space to remove a run from a full disk.

SQLite first writes a deletion to its log [-shm 32 KB, -wal some 100 KB].
"""
COPYING = ".copying-"
"""The beginning of the name of a run's folder while it is copied."""
ADDRESS_FILE = ".store"
"""A file in a run's folder with the store's address, if the store is not a file next to it."""


class StoreWithFolders(OpenStore):
    """The methods of `Store` for the folders of the runs."""

    _reserve_is_used = False

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._reserve_is_used:  # SQLite's log is gone now
            self._keep_reserve()

    @property
    def runs_folder(self) -> Path:
        """The folder on this machine that holds the runs' folders."""
        return self.files.root

    @cached_property
    def files(self) -> RunFiles:
        """Where the files of the runs are."""
        return RunFiles(self._given_files or self._stored_files(), self._address.runs_folder)

    def use_files(self, address: str) -> None:
        """Use another address for the files of the runs from now on, without storing it."""
        self._given_files = parse_files(address)
        self.__dict__.pop("files", None)

    def _stored_files(self) -> str | None:
        found = self.rows("SELECT value FROM store_info WHERE key = 'files'")
        return str(found[0][0]) if found else None

    def folder(self, run_id: str) -> Path:
        """The folder of a run's files on this machine; `fetch` brings it up to date."""
        return self.runs_folder / run_id

    def fetch(self, run_id: str, wanted: Callable[[str], bool] | None = None) -> Path:
        """The folder of a run with all of its files, or those ``wanted``, as they are now.

        Files that are not on this machine are downloaded. Raises StoreError.
        """
        if self.files.remote is not None:
            found = self.rows(
                "SELECT host, pid, process_start FROM runs WHERE id = :id AND status = 'running'",
                {"id": run_id},
            )
            owner = Owner(host=found[0][0], pid=found[0][1], started=found[0][2]) if found else None
            self.files.fetch(run_id, owner, wanted)
            if self.folder(run_id).is_dir():
                self.mark(run_id)
        return self.folder(run_id)

    def file(self, run_id: str, path: str) -> Path:
        """A file in the folder of a run, downloaded if it is not on this machine."""
        found = self.folder(run_id) / path
        if not found.is_file():
            self.fetch(run_id, lambda name: name == path)
        return found

    def upload(self, run_id: str, only: Iterable[Path] | None = None) -> Callable[[], None]:
        """Upload files of a run; they count once the result is called."""
        remote = self.files.remote
        return (
            (lambda: None) if remote is None else remote.upload(run_id, self.folder(run_id), only)
        )

    def keep_files_address(self, connection: Connection) -> None:
        """Store the address of the files with a store that has no run yet. Raises UsageError."""
        from sqlalchemy import func, select

        from genbench.store.schema import runs, store_info
        from genbench.store.upsert import insert_missing

        if self._given_files is None or self._stored_files() is not None:
            return
        if connection.execute(select(func.count()).select_from(runs)).scalar_one():
            raise UsageError(
                f"the files of the runs of {self} are in {self._address.runs_folder}",
                hint=f"To move them: genbench store files {self._given_files} --store {self}",
            )
        insert_missing(connection, store_info, [{"key": "files", "value": self._given_files}])

    def copy_files(self, run_id: str, to: RunFiles) -> bool:
        """Copy the files of a run to another place, unless they are there."""
        folder, target = self.fetch(run_id), to.root / run_id
        if not folder.is_dir():
            return False
        if to.remote is not None:
            to.remote.upload(run_id, folder)()
            return True
        if target.exists():
            return False
        part = to.root / f"{COPYING}{run_id}"
        with store_errors(self._address):
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(folder, part)
            part.rename(target)
        return True

    def _aside(self, run_id: str) -> Path:
        return self.runs_folder / f"{REMOVING}{run_id}"

    def _set_aside(self, run_id: str) -> None:
        if self.folder(run_id).is_dir():
            self._remove_folder(self._aside(run_id))
            self.folder(run_id).rename(self._aside(run_id))

    def restore_folder(self, run_id: str) -> None:
        """Restore a run's folder if its removal was interrupted before its row was deleted."""
        if self._aside(run_id).is_dir() and not self.folder(run_id).exists():
            self._aside(run_id).rename(self.folder(run_id))

    def staging(self, run_id: str) -> Path:
        """The folder for the files of a run during its import; `genbench doctor` knows it."""
        return self._aside(run_id)

    def move_in(self, run_id: str) -> None:
        """Put the files of an imported run, which has its row now, into their place."""
        self.staging(run_id).rename(self.folder(run_id))
        self.mark(run_id)
        self.upload(run_id)()

    def _remove_folder(self, folder: Path) -> None:
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(
                f"the run is deleted, but not all of its files: {error.filename or folder}: "
                f"{error.strerror}",
                hint="To delete the rest: genbench doctor --clean",
            ) from error

    def _make_folder(self, run_id: str) -> None:
        folder = self.folder(run_id)
        self.restore_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        self._keep_reserve()
        self.mark(run_id)
        self.files.begin(run_id)

    def mark(self, run_id: str) -> None:
        """Write into a run's folder which store it belongs to, where its place doesn't say it."""
        if self._address.path is None or self.files.shared is not None:
            # A folder next to an SQLite file belongs to that store; this one could be of any store.
            (self.folder(run_id) / ADDRESS_FILE).write_text(self.url, encoding="utf-8")

    @property
    def _reserve(self) -> Path:
        return self.runs_folder / RESERVE

    def _keep_reserve(self) -> None:
        """Reserve the space that the deletion of a row needs, unless the disk is full already."""
        if self._address.path is None or self.files.address or self._reserve.exists():
            return
        try:
            self._reserve.write_bytes(secrets.token_bytes(RESERVED_BYTES))  # can't be compressed
        except OSError:
            self._reserve.unlink(missing_ok=True)
