"""The store: every run, what it was, what it left, how it was scored.

Laws: the numbers of a finished run are never changed (scores may be added; name, tags, note and
archiving are the user's); what was committed is never lost to a kill; reading changes nothing, not
even the status of a run that lost its process.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from genbench.errors import DiskFullError, StoreError, UsageError
from genbench.store import details, runs
from genbench.store.address import Address
from genbench.store.failures import told_plainly
from genbench.store.opening import Mode, open_other, open_sqlite
from genbench.store.reader import EngineReader, Reader, Rows, SqliteReader, Streamed
from genbench.store.records import (
    Artifact,
    Draw,
    Epoch,
    PartVersion,
    Run,
    ScoreRecord,
    StageRecord,
    Status,
    Summary,
    WarningRecord,
)
from genbench.store.rescue import FileIdentity, file_identity, log_of, rescue

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.events import Evaluated
    from genbench.spec import RunSpec
    from genbench.store.database import Database, Patience

REMOVING = ".removing-"
"""Begins the name of a run's folder that is being removed."""
RESERVE, RESERVED_BYTES = ".reserve", 1 << 18
"""A file next to the runs' folders that frees its space when a run is removed from a full disk.

SQLite writes what a deletion changes into its log first [-shm 32 KB, -wal some 100 KB].
"""
WHOSE = ".store"
"""A file in a run's folder with the store's address, if the store is not a file next to it."""


def _shortly(waited: float) -> bool:
    """The patience of a run that ends: unmarked it counts as lost, and can be resumed as well."""
    return waited < 5.0


class Store:
    """One store, open. Made by `Store.open`; a context manager; usable from several threads."""

    def __init__(self, address: Address, *, mode: Mode) -> None:
        self._address, self._mode = address, mode
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
    def open(cls, url: str | Path, *, mode: Mode = "write") -> Store:
        """Open the store at a path or an SQLAlchemy URL; only "create" makes one that is absent.

        An older store is backed up and migrated, unless the mode is "read". Raises StoreError.
        """
        return cls(Address.parse(url), mode=mode)

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
    def runs_folder(self) -> Path:
        """The folder that holds the runs' folders."""
        return self._address.runs_folder

    def folder(self, run_id: str) -> Path:
        """The folder of a run's files."""
        return self.runs_folder / run_id

    @cached_property
    def _database(self) -> Database:
        from genbench.store.database import Database

        return Database(self._address)

    @cached_property
    def _reader(self) -> Reader:
        if self._address.path is None:
            return EngineReader(self._address, self._database.engine)
        return SqliteReader(self._address)

    @contextmanager
    def transaction(self, patience: Patience | None = None) -> Iterator[Connection]:
        """A writing transaction on the tables of `genbench.store.schema`.

        ``patience`` decides how long another process's lock is waited for (half a minute). Raises
        StoreError where the file turns out to be gone: nothing that was committed is safe then
        but in the copy that the error names.
        """
        if self._mode == "read":
            raise StoreError(f"the store {self} was opened for reading only")
        if self._lost is not None:
            raise self._lost
        with self._database.transaction(*([patience] if patience else [])) as connection:
            yield connection
        self._check_files()

    def _check_files(self) -> None:
        """Raise StoreError, with what was saved, where our file or its log has no name any more."""
        path = self._address.path
        if path is None:
            return
        # Made by the first transaction, the log stays as long as anyone has the file open.
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
        """A new running run of this process. ``stages`` are (name, epochs); see docs/store.md.

        ``settings`` is the spec with the settings that it leaves out at their defaults.
        Raises UsageError for a name that is taken.
        """
        from genbench.store import lifecycle

        with self.transaction() as connection:
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
        # After its row: whoever finds a folder without a row knows that the run is gone.
        try:
            with told_plainly(self._address):
                self._make_folder(run_id)
        except StoreError:
            with self.transaction() as connection:
                lifecycle.discard(connection, run_id)
            raise
        return self.run(run_id)

    def take_over(
        self,
        run_id: str,
        *,
        environment: Mapping[str, Any] | None = None,
        plugins: Sequence[PartVersion] = (),
    ) -> Run:
        """Make a run that isn't running this process's own, and running. Raises UsageError."""
        from genbench.store import lifecycle

        with self.transaction() as connection:
            lifecycle.take_over(connection, run_id, environment=environment, plugins=plugins)
            self._make_folder(run_id)
        return self.run(run_id)

    def finish(self, run_id: str) -> None:
        """The run is done; from now on it is never changed."""
        self._end(run_id, Status.FINISHED)

    def fail(self, run_id: str, error: str, *, kind: str | None = None) -> None:
        """The run ended by an error; it keeps every epoch it had.

        Raises TakenOverError, as do `finish` and `interrupt`, where another process has taken over.
        """
        self._end(run_id, Status.FAILED, error=error, kind=kind)

    def interrupt(self, run_id: str) -> None:
        """The run was stopped by a person and can be resumed."""
        self._end(run_id, Status.INTERRUPTED)

    def _end(
        self, run_id: str, status: Status, *, error: str | None = None, kind: str | None = None
    ) -> None:
        from genbench.store import lifecycle

        with self.transaction(_shortly) as connection:
            lifecycle.end(connection, run_id, status, error=error, kind=kind)

    def delete(self, run_id: str) -> None:
        """Delete a run and its folder. Raises UsageError while it runs, or others need it.

        The folder is renamed, the row deleted, the renamed folder removed: after a kill on the way
        the run is there, or all that is left of it is a folder for `genbench.doctor.leftovers`.
        On a full disk the files go first, and the space that is kept for this.
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

    @property
    def _reserve(self) -> Path:
        return self.runs_folder / RESERVE

    def _keep_reserve(self) -> None:
        """Keep the space that the deletion of a row needs. On a disk that is full already: no."""
        if self._address.path is None or self._reserve.exists():
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
            self._close("_reader")  # on a full disk it may read the file as if nothing ever changed

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
        """What `lifecycle.remove` checks, by reading alone. Raises UsageError."""
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
        """Store additional scores of a run; ``preferred`` ones become the final ones."""
        from genbench.store import lifecycle, scoring

        with self.transaction() as connection:
            run = lifecycle.number_of(connection, run_id)
            scoring.add_evaluation(connection, run, evaluated, preferred=preferred)

    def add_plugins(self, run_id: str, parts: Sequence[PartVersion]) -> None:
        """Add parts that a run was not made with but scored by; those it knows stay as they are."""
        from genbench.store import lifecycle

        known = {(part.kind, part.name) for part in self.plugins(run_id)}
        new = [part for part in parts if known and (part.kind, part.name) not in known]
        with self.transaction() as connection:
            lifecycle.add_plugins(connection, lifecycle.number_of(connection, run_id), new)

    def add_artifact(self, run_id: str, kind: str, path: Path | str, epoch: int | None) -> None:
        """Store a file of the run's folder with its digest. Raises StoreError if it isn't there."""
        from genbench.store import journal, lifecycle
        from genbench.store.artifact import describe

        row = describe(kind, Path(path), epoch, self.folder(run_id))
        with self.transaction() as connection:
            journal.add_artifact(connection, lifecycle.number_of(connection, run_id), row)

    def _make_folder(self, run_id: str) -> None:
        folder = self.folder(run_id)
        self.restore_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        self._keep_reserve()
        if self._address.path is None:
            # Beside an SQLite store the folder is that store's; here it might be anyone's.
            (folder / WHOSE).write_text(self.url, encoding="utf-8")

    # --- reading

    def resolve(self, ref: str) -> str:
        """The id of a run by its id, the beginning of one, its name, or @1 (newest), @2, ...

        Raises NoSuchRunError, or AmbiguousRunError with the ids.
        """
        return runs.resolve(self._reader, ref)

    def run(self, ref: str) -> Run:
        """The head of a run."""
        return runs.select_runs(self._reader, {"id": self.resolve(ref)}, None)[0]

    def runs(
        self,
        *,
        model: str | None = None,
        dataset: str | None = None,
        status: Status | str | None = None,
        tag: str | None = None,
        experiment: str | None = None,
        archived: bool | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """The heads of runs, newest first; ``archived`` None: those that are archived too."""
        conditions = {
            "model": model,
            "dataset": dataset,
            "status": status,
            "tag": tag,
            "experiment": experiment,
            "archived": archived,
        }
        return runs.select_runs(self._reader, conditions, limit)

    def running_here(self) -> list[str]:
        """The ids of the runs that this process works on."""
        return runs.running_here(self._reader)

    def children(self, run_id: str) -> list[str]:
        """The ids of the runs that build upon a run, in the order in which they were made."""
        return runs.children(self._reader, run_id)

    def stages(self, run_id: str) -> list[StageRecord]:
        """The stages in order."""
        return details.stages(self._reader, self._number(run_id))

    def epochs(self, run_id: str) -> list[Epoch]:
        """The epochs in order, with the means of their losses."""
        return details.epochs(self._reader, self._number(run_id))

    def scores(self, run_id: str) -> list[ScoreRecord]:
        """All scores, by epoch and then in the order in which they were taken."""
        return details.scores(self._reader, self._number(run_id))

    def draws(self, run_id: str) -> list[Draw]:
        """The draws of samples behind the scores: seconds, diagnostics, what was skipped."""
        return details.draws(self._reader, self._number(run_id))

    def warnings(self, run_id: str) -> list[WarningRecord]:
        """What the run was warned of, by epoch: that D has won, that G has collapsed, ..."""
        return details.warnings(self._reader, self._number(run_id))

    def plugins(self, run_id: str) -> list[PartVersion]:
        """The parts that a run was made with, and the versions of their distributions.

        A part is listed twice if a run was resumed with another version of it; no part does
        in a run of a store that did not keep them yet.
        """
        return details.plugins(self._reader, self._number(run_id))

    def artifacts(self, run_id: str) -> list[Artifact]:
        """The files, in the order in which they were made."""
        return details.artifacts(self._reader, self._number(run_id))

    def keys(self, run_id: str) -> list[str]:
        """The names of the recorded series."""
        return [summary.key for summary in self.summaries(run_id)]

    def series(self, run_id: str, key: str) -> list[tuple[int, float | None]]:
        """The points of one series: steps and values, None where not finite."""
        return details.series(self._reader, self._number(run_id), key)

    def summaries(self, run_id: str) -> list[Summary]:
        """What each recorded series was in all."""
        return details.summaries(self._reader, self._number(run_id))

    def environment(self, run_id: str) -> dict[str, Any]:
        """What the run ran on last, as it was given, with the state of the code at its start."""
        return details.environment(self._reader, self._number(run_id))

    def environments(self, run_id: str) -> list[tuple[int, dict[str, Any]]]:
        """All that it ran on, each with the step after which it was there: (0, ...) first.

        More than one where it was resumed on another machine, or with other packages.
        """
        return details.environments(self._reader, self._number(run_id))

    def params(self, run_id: str) -> dict[str, Any]:
        """All that decides the numbers under flat names, such as ``model.lr``."""
        return details.params(self._reader, self._number(run_id))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of genbench's own SQL on documented tables, with ``:name`` parameters."""
        return self._reader.rows(sql, parameters)

    def query(self, sql: str) -> tuple[list[str], Rows]:
        """The columns and rows of a person's statement, on a connection that can't write.

        Raises UsageError for a statement that is wrong or would write.
        """
        with self.stream(sql) as (columns, rows):
            return columns, list(rows)

    @contextmanager
    def stream(self, sql: str) -> Iterator[Streamed]:
        """The same with rows as they are found, however many there are."""
        if not sql.strip():
            raise UsageError("the query is empty; give one SELECT statement")
        with self._reader.stream(sql) as streamed:
            yield streamed

    def _number(self, run_id: str) -> int:
        return runs.number_of(self._reader, run_id)
