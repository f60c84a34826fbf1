"""An open store: its connections, and transactions that notice when the file is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from genbench.errors import StoreError
from genbench.store.address import Address
from genbench.store.failures import Patience, as_usual
from genbench.store.open_store import Mode, open_other, open_sqlite
from genbench.store.readable import ReadableStore
from genbench.store.rescue import FileIdentity, file_identity, log_of, rescue
from genbench.store.run_files import FILES, parse_files

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class OpenStore(ReadableStore):
    """The opening, the transactions and the closing of `Store`."""

    def __init__(self, address: Address, *, mode: Mode, files: str | None = None) -> None:
        super().__init__(address)
        given = os.environ.get(FILES) if files is None else files
        self._given_files = parse_files(given) if given else None
        self._mode = mode
        self._lost: StoreError | None = None
        self._log: FileIdentity | None = None
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
    def open(cls, url: str | Path, *, mode: Mode = "write", files: str | None = None) -> Self:
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
