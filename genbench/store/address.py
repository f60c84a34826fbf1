"""Where a store is: an SQLite file by its path, or another database by its SQLAlchemy URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Address:
    """``path`` is the SQLite file, None elsewhere; ``url`` is SQLAlchemy's.

    The path is absolute and without symbolic links: the file has one place, whatever it is called
    by, and so have the files of its runs and of SQLite next to it.
    """

    url: str
    path: Path | None

    @classmethod
    def parse(cls, given: str | Path) -> Address:
        """The address that a person gave. Raises StoreError for a store that has no file."""
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
        """Folder of the runs' files: next to the SQLite file, or in the working folder."""
        return (self.path.parent if self.path else Path.cwd()) / "runs"

    def __str__(self) -> str:
        """The path, or the URL without its password."""
        if self.path:
            return str(self.path)
        scheme, _, rest = self.url.partition("://")
        login, at, place = rest.rpartition("@")
        return f"{scheme}://{login.partition(':')[0]}{at}{place}"
