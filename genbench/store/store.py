"""The store: all runs with their settings, results and scores.

Laws: the numbers of a finished run never change (scores may be added; the user may change its name,
tags and note, and archive it); what was committed is never lost when the process is killed; reading
changes nothing, not even the status of a lost run.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from genbench.errors import DiskFullError, StoreError, UsageError
from genbench.store.address import Address
from genbench.store.failures import Patience, as_usual, store_errors, up_to
from genbench.store.open_store import Mode, open_other, open_sqlite
from genbench.store.process import Owner
from genbench.store.readable import ReadableStore
from genbench.store.records import PartVersion, Run, Status
from genbench.store.rescue import FileIdentity, file_identity, log_of, rescue
from genbench.store.run_files import FILES, RunFiles, parse_files

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.events import Evaluated
    from genbench.spec import RunSpec

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
ENDING_S = 5.0
"""Seconds that the end of a run waits for a lock: without its status it is lost, and resumable."""


class Store(ReadableStore):
    """An open store, made by `Store.open`: a context manager that several threads may use."""

    def __init__(self, address: Address, *, mode: Mode, files: str | None = None) -> None:
        super().__init__(address)
        given = os.environ.get(FILES) if files is None else files
        self._given_files = parse_files(given) if given else None
        self._mode = mode
        self._lost: StoreError | None = None
        self._log: FileIdentity | None = None
        self._reserve_is_used = False
        try:
            if address.path is None:
                open_other(address, self._database, mode)
            else:
                open_sqlite(address, mode)
            self._file = file_identity(address.path)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, url: str | Path, *, mode: Mode = "write", files: str | None = None) -> Store:
        """Open the store at a path or an SQLAlchemy URL; the mode "create" makes a missing one.

        ``files`` is the address of the files of its runs: None is that in GENBENCH_FILES, and
        without that, as with "", the one that is stored. An older store is backed up and migrated,
        unless the mode is "read". Raises StoreError.
        """
        return cls(Address.parse(url), mode=mode, files=files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._close("_reader", "_database")
        if self._reserve_is_used:  # SQLite's log is gone now
            self._keep_reserve()

    def _close(self, *names: str) -> None:
        for name in names:
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    @property
    def url(self) -> str:
        """The path of the SQLite file, or the URL without its password."""
        return str(self._address)

    @property
    def address(self) -> str:
        """The URL with its password, for another process that opens the same store."""
        return self._address.url

    @property
    def can_write(self) -> bool:
        """Whether it was opened for writing."""
        return self._mode != "read"

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

    def publish(self, run_id: str) -> None:
        """Upload what is new in the folder of a run of this process.

        Raises StoreError, DiskFullError or TakenOverError; the files of the last upload count then.
        """
        from genbench.store import lifecycle

        if self.files.remote is not None:
            commit = self.upload(run_id)
            with self.transaction() as connection:
                lifecycle.check_owner(connection, run_id)
                commit()

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

    @contextmanager
    def transaction(self, patience: Patience = as_usual) -> Iterator[Connection]:
        """A transaction that can write to the tables of `genbench.store.schema`.

        ``patience`` decides how long to wait for the lock of another process. Raises StoreError if
        the file is gone; committed data is then only in the copy that the error names.
        """
        self._check_writable()
        with self._database.transaction(patience) as connection:
            yield connection
        self._check_files()

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A `transaction` of one statement, which is faster on a server."""
        self._check_writable()
        with self._database.statement() as connection:
            yield connection
        self._check_files()

    def _check_writable(self) -> None:
        if self._mode == "read":
            raise StoreError(f"the store {self} was opened for reading only")
        if self._lost is not None:
            raise self._lost

    def _check_files(self) -> None:
        """Raise StoreError, which names the rescued copy, if the file or its log was removed."""
        path = self._address.path
        if path is None:
            return
        # The first transaction creates the log, which exists as long as the file is open.
        self._log = self._log or file_identity(log_of(path))
        if (file_identity(path), file_identity(log_of(path))) != (self._file, self._log):
            self._lost = rescue(
                path, self._database, file_is_there=file_identity(path) == self._file
            )
            raise self._lost

    def __str__(self) -> str:
        return self.url

    # --- the life of a run

    def create_run(
        self,
        spec: RunSpec,
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        stages: Sequence[tuple[str, int]],
        environment: Mapping[str, Any],
        parameters: int | None = None,
        plugins: Sequence[PartVersion] = (),
        settings: RunSpec | None = None,
    ) -> Run:
        """Create a running run of this process. ``stages`` are (name, epochs); see docs/store.md.

        ``settings`` is the spec with those settings, too, that it leaves out at their defaults.
        Raises UsageError for a name that is taken.
        """
        from genbench.store import lifecycle
        from genbench.store.claimed_task import CLAIM, link_run

        self.files.check()
        with self.transaction() as connection:
            self.keep_files_address(connection)
            run_id = lifecycle.create(
                connection,
                spec,
                name=name,
                tags=tags,
                planned=stages,
                environment=environment,
                parameters=parameters,
                plugins=plugins,
                settings=settings,
            )
            link_run(connection, run_id, os.environ.get(CLAIM))
        # The folder comes after the row, so that a folder without a row is always a leftover.
        try:
            with store_errors(self._address):
                self._make_folder(run_id)
            self.upload(run_id)()
        except StoreError:
            with self.transaction() as connection:
                lifecycle.discard(connection, run_id)
            raise
        return self.run(run_id)

    def keep_files_address(self, connection: Connection) -> None:
        """Store the address of the files with a store that has no run yet. Raises UsageError."""
        from sqlalchemy import func, insert, select

        from genbench.store.schema import runs, store_info

        if self._given_files is None or self._stored_files() is not None:
            return
        if connection.execute(select(func.count()).select_from(runs)).scalar_one():
            raise UsageError(
                f"the files of the runs of {self} are in {self._address.runs_folder}",
                hint=f"To move them: genbench store files {self._given_files} --store {self}",
            )
        row = {"key": "files", "value": self._given_files}
        connection.execute(insert(store_info).values(row))

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

    def check_names(self, names: Sequence[str | None]) -> None:
        """Raise UsageError if one of these can't be the name of a new run."""
        from genbench.store import lifecycle

        with self.transaction() as connection:
            for name in names:
                lifecycle.check_name(connection, name)

    def take_over(
        self,
        run_id: str,
        *,
        environment: Mapping[str, Any] | None = None,
        plugins: Sequence[PartVersion] = (),
    ) -> Run:
        """Continue a run that isn't running in this process. Raises UsageError."""
        from genbench.store import lifecycle

        with self.transaction() as connection:
            lifecycle.take_over(connection, run_id, environment=environment, plugins=plugins)
            self.files.check()
            self.files.fetch(run_id, None)
            self._make_folder(run_id)
        return self.run(run_id)

    def set_parameters(self, run_id: str, parameters: int) -> None:
        """Store how many parameters a running run of this process has in the end."""
        from genbench.store import lifecycle

        with self.transaction() as connection:
            lifecycle.set_parameters(connection, run_id, parameters)

    def finish(self, run_id: str) -> None:
        """Mark the run as finished; from then on it never changes."""
        commit = self.upload(run_id)
        self._end(run_id, Status.FINISHED)
        commit()

    def fail(self, run_id: str, error: str, *, kind: str | None = None) -> None:
        """Mark the run as failed; it keeps its epochs.

        Raises TakenOverError, as `finish` and `interrupt` do, if another process has taken it over.
        """
        self._end(run_id, Status.FAILED, error=error, kind=kind)

    def interrupt(self, run_id: str) -> None:
        """Mark the run as stopped by the user; it can be resumed."""
        self._end(run_id, Status.INTERRUPTED)

    def _end(
        self, run_id: str, status: Status, *, error: str | None = None, kind: str | None = None
    ) -> None:
        from genbench.store import lifecycle

        with self.transaction(up_to(ENDING_S)) as connection:
            lifecycle.end(connection, run_id, status, error=error, kind=kind)

    def delete(self, run_id: str) -> None:
        """Delete a run and its folder. Raises UsageError if it is running or other runs need it.

        The folder is renamed, then the row is deleted, then the folder is removed. If the process
        is killed meanwhile, either the run still exists, or only a folder is left for
        `genbench.doctor.leftovers`. On a full disk, the files and the reserved space are removed
        first.
        """
        aside = self._aside(run_id)
        try:
            self._delete_row(run_id)
        except DiskFullError:
            self._check_idle(run_id)
            self._set_aside(run_id)
            self._remove_folder(aside)
            self._delete_row_with_reserve(run_id)
        self._remove_folder(aside)
        if self.files.remote is not None:
            self.files.remote.remove(run_id)

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

    def _delete_row_with_reserve(self, run_id: str) -> None:
        self._reserve.unlink(missing_ok=True)
        self._reserve_is_used = True
        try:
            self._delete_row(run_id)
        except DiskFullError as error:
            raise DiskFullError(
                f"no space is left for the store {self}: the files of run {run_id} are removed, "
                "but its row is not. Free about 300 KB on that disk, then try again"
            ) from error
        finally:
            self._close("_reader")  # on a full disk it may read the file as if nothing had changed

    def _delete_row(self, run_id: str) -> None:
        from genbench.store import lifecycle

        try:
            with self.transaction() as connection:
                lifecycle.remove(connection, run_id)
                self._set_aside(run_id)
        except BaseException:
            self.restore_folder(run_id)
            raise

    def _check_idle(self, run_id: str) -> None:
        """Make the checks of `lifecycle.remove` without writing. Raises UsageError."""
        run, children = self.run(run_id), self.children(run_id)
        if run.status is Status.RUNNING or children:
            reason = f"needed by {', '.join(children)}" if children else "still running"
            raise UsageError(f"run {run_id} is {reason}")

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

    def edit(
        self,
        run_id: str,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Sequence[str] = (),
        untag: Sequence[str] = (),
    ) -> Run:
        """Change a run's name and note ("" removes one, None keeps it), add and remove tags.

        Raises UsageError for a name that is taken, and for a tag to remove that isn't there.
        """
        from genbench.store import editing

        with self.transaction() as connection:
            editing.edit(connection, run_id, name=name, note=note, tags=tags, untag=untag)
        return self.run(run_id)

    def set_archived(self, run_ids: Sequence[str], archived: bool) -> None:
        """Archive all of these runs, or restore all of them, or none where one can't be."""
        from genbench.store import editing

        with self.transaction() as connection:
            for run_id in run_ids:
                editing.set_archived(connection, run_id, archived)

    def add_evaluation(self, run_id: str, evaluated: Evaluated, *, preferred: bool = False) -> None:
        """Store additional scores of a run; ``preferred`` ones become final."""
        from genbench.store import lifecycle, scoring

        with self.transaction() as connection:
            run = lifecycle.locked_number(connection, run_id)
            scoring.add_evaluation(connection, run, evaluated, preferred=preferred)

    def add_plugins(self, run_id: str, parts: Sequence[PartVersion]) -> None:
        """Add the parts that a run is scored with but was not made with; no other entry changes."""
        from genbench.store import lifecycle

        known = {(part.kind, part.name) for part in self.plugins(run_id)}
        new = [part for part in parts if known and (part.kind, part.name) not in known]
        with self.transaction() as connection:
            lifecycle.add_plugins(connection, lifecycle.locked_number(connection, run_id), new)

    def add_artifact(self, run_id: str, kind: str, path: Path | str, epoch: int | None) -> None:
        """Store a file of the run's folder with its digest. Raises StoreError if it is missing."""
        from genbench.store import journal, lifecycle
        from genbench.store.artifact import describe

        row = describe(kind, Path(path), epoch, self.folder(run_id))
        self.upload(run_id, [self.folder(run_id) / row["path"]])()
        with self.transaction() as connection:
            journal.add_artifact(connection, lifecycle.locked_number(connection, run_id), row)

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
