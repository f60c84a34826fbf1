"""The address of a store: the path of an SQLite file, or the SQLAlchemy URL of a database."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import StoreError
from genbench.formatting import without_passwords


@dataclass(frozen=True, kw_only=True)
class Address:
    """The address: ``path`` is the SQLite file (None for another database), ``url`` the URL.

    The path is absolute and without symbolic links, so that SQLite's log and the files of the runs
    are always next to the same file.
    """

    url: str
    path: Path | None

    @classmethod
    def parse(cls, given: str | Path) -> Address:
        """Parse the address that a user gave. Raises StoreError for a store without a file."""
        text = str(given)
        scheme, separator, rest = text.partition("://")
        if separator and not scheme.startswith("sqlite"):
            return cls(url=text, path=None)
        name = rest.partition("?")[0].removeprefix("/") if separator else text
        if name in ("", ":memory:"):
            raise StoreError(f"'{text}' can't be a store; give a file, such as runs.db")
        path = Path(os.path.realpath(Path(name).expanduser()))
        return cls(url=f"sqlite:///{path}", path=path)

    @property
    def runs_folder(self) -> Path:
        """The folder of the runs: next to the SQLite file, or in the working directory."""
        return (self.path.parent if self.path else Path.cwd()) / "runs"

    def __str__(self) -> str:
        """The path, or the URL without its password."""
        if self.path:
            return str(self.path)
        return without_passwords(self.url).replace(":***@", "@")
