"""The schema's version, and what is said about a store of another one.

A store names its schema in ``schema_version`` (alembic's table) and in ``store_info`` the genbench
that wrote it; these two tables stay as they are in all versions, so that any genbench can name the
one that reads a newer store. This file imports nothing heavy: readers check the version too.
"""

from __future__ import annotations

from genbench import __version__
from genbench.errors import StoreError

SCHEMA_VERSION = 4
"""Counts up with each script in ``migrations/versions``."""

APPLICATION_ID = 0x67656E62
"""'genb' in the header of an SQLite file: what tells a store from any other database."""


def too_new(where: str, found: int, written_by: str | None) -> StoreError:
    """The refusal of a store that a newer genbench has written."""
    hint = f"pip install 'genbench>={written_by}'" if written_by else "install a newer genbench"
    by = f", written by genbench {written_by}" if written_by else ""
    return StoreError(
        f"the store {where} has schema {found}{by}; genbench {__version__} reads schema "
        f"{SCHEMA_VERSION} at most. To read it: {hint}"
    )


def too_old(where: str, found: int) -> StoreError:
    """The refusal to read an older store in place: reading never changes a file."""
    return StoreError(
        f"the store {where} has the older schema {found}, this genbench reads schema "
        f"{SCHEMA_VERSION}; any command that writes (such as genbench run) backs it up and "
        "migrates it, from Python: Store.open(..., mode='write')"
    )
