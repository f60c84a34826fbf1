"""A store of a worker's own, for nodes that can lose the store of the queue while a run trains.

A run is recorded in an SQLite file on this machine. When its command has ended, the file gets the
task that the run belongs to, and the run is merged into the store. If that can't be reached, the
run stays in the file; merging the file later also tells the queue that its task has a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.store import Status, Store
from genbench.store.claimed_task import CLAIM
from genbench.store.run_files import FILES
from genbench.store.tasks import Task


@dataclass(frozen=True)
class Spool:
    """The file that a worker's runs are recorded in; it is made when it is first needed."""

    path: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a command that is recorded here: it belongs to no claimed task."""
        return {"GENBENCH_STORE": str(self.path), FILES: str(self._files), CLAIM: ""}

    @property
    def _files(self) -> Path:
        # The folder `runs` next to the file may be that of the store itself.
        return self.path.with_name(f"{self.path.name}.files")

    def prepare(self) -> None:
        """Make the folder for the files of the runs. Raises UsageError."""
        try:
            self._files.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--spool {self.path} can't be used: {error.strerror}") from error

    def takes(self, words: Sequence[str]) -> bool:
        """Whether a command can be recorded here: a new run that needs no other one."""
        return words[0] == "run" and not any("latents:" in word for word in words)

    def keep(self, task: Task, answer: Mapping[str, Any]) -> None:
        """Store here which task the runs in a command's answer belong to."""
        from genbench.store.copying import note_task  # imports SQLAlchemy

        made = [answer["run"]] if "run" in answer else [run["run"] for run in answer["runs"]]
        with Store.open(self.path, files="") as spool:
            note_task(spool, task, made)

    def take_in(self, store: Store) -> int:
        """Merge the runs that have ended into the store of the queue; return how many were new."""
        from genbench.store.copying import merge_store

        if not self.path.exists():
            return 0
        with Store.open(self.path, files="") as spool:
            there = {run_id for (run_id,) in store.rows("SELECT id FROM runs")}
            ended = [
                run.id
                for run in reversed(spool.runs(status=Status.FINISHED))
                if run.id not in there
            ]
            return len(merge_store(spool, store, ended)[0].new) if ended else 0
