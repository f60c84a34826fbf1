"""The store: all runs with their settings, results and scores.

Laws: the numbers of a finished run never change (scores may be added; the user may change its name,
tags and note, and archive it); what was committed is never lost when the process is killed; reading
changes nothing, not even the status of a lost run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import DiskFullError, StoreError, UsageError
from genbench.store.failures import store_errors, up_to
from genbench.store.records import PartVersion, Run, Status
from genbench.store.run_folders import StoreWithFolders

if TYPE_CHECKING:
    from genbench.events import Evaluated
    from genbench.spec import RunSpec

ENDING_S = 5.0
"""Seconds that the end of a run waits for a lock: without its status it is lost, and resumable."""


class Store(StoreWithFolders):
    """An open store, made by `Store.open`: a context manager that several threads may use."""

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
