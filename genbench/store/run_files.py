"""Where the files of the runs are: next to the store, in a shared folder, or at an fsspec address.

A shared folder is used directly. Files at another address have copies in the usual folder of the
runs: what is there is the truth, but the copy of a run that a process here works on is ahead until
its next checkpoint is uploaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from genbench.errors import StoreError, UsageError
from genbench.files.remote import RemoteFolders
from genbench.formatting import without_passwords
from genbench.store.process import Owner, process_start, this_host, this_process

FILES = "GENBENCH_FILES"
"""The environment variable with the address that ``--files`` gives."""
WORKING = ".working"
"""A file in the copy of a run's folder: the process that works in it."""
LOCAL = ("file", "local")


def parse_files(given: str) -> str:
    """The address that a user gave; a folder becomes an absolute ``file://`` one.

    Raises UsageError for an address with a password, since it is stored and shown.
    """
    scheme, separator, rest = given.partition("://")
    if without_passwords(given) != given:
        raise UsageError(
            f"--files {without_passwords(given)}: the address is stored, so it can't have a "
            "password; put it where the package of this protocol reads it, such as AWS_PROFILE"
        )
    if not separator or scheme in LOCAL:
        path = rest if separator else given
        if not path:
            raise UsageError(f"--files {given}: expected a folder or an fsspec address")
        return f"file://{os.path.realpath(Path(path).expanduser())}"
    return given


class RunFiles:
    """The folders of the runs of a store; ``beside`` is the usual one, next to the store."""

    def __init__(self, address: str | None, beside: Path) -> None:
        self.address = address
        scheme, _, path = (address or "").partition("://")
        self.shared = shared = Path(path) if scheme == "file" else None
        self.root = shared or beside
        self.remote = RemoteFolders(address) if address and shared is None else None

    def check(self) -> None:
        """Raise StoreError if there is no such shared folder, or nothing can be written there."""
        if self.shared is None:
            return
        if not self.shared.is_dir():
            raise StoreError(
                f"the folder {self.shared} for the files of the runs doesn't exist here; mount or "
                "make it, or say where it is: --files ADDRESS"
            )
        if not os.access(self.shared, os.W_OK | os.X_OK):
            raise StoreError(
                f"the folder {self.shared} for the files of the runs can't be written: no "
                "permission"
            )

    def begin(self, run_id: str) -> None:
        """Say that this process works in the folder of a run."""
        if self.remote is not None:
            mine = this_process()
            text = f"{mine.host}\n{mine.pid}\n{mine.started}"
            (self.root / run_id / WORKING).write_text(text, encoding="utf-8")

    def fetch(
        self, run_id: str, owner: Owner | None, wanted: Callable[[str], bool] | None = None
    ) -> None:
        """Bring the copy of a run's folder up to date, unless its ``owner`` works in it."""
        if self.remote is not None and not self._works_here(run_id, owner):
            self.remote.fetch(run_id, self.root / run_id, wanted)

    def _works_here(self, run_id: str, owner: Owner | None) -> bool:
        if owner is None or owner.host != this_host() or process_start(owner.pid) != owner.started:
            return False
        try:
            found = (self.root / run_id / WORKING).read_text(encoding="utf-8")
        except OSError:
            return False
        return found == f"{owner.host}\n{owner.pid}\n{owner.started}"
