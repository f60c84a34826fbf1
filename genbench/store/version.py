"""The version of the schema, and the errors for a store with another version.

A store has the version of its schema in ``schema_version`` (alembic's table), and the version of
genbench that wrote it in ``store_info``. These two tables never change, so that any genbench can
name the version that reads a newer store. This file is imported by readers, too, so it is light.
"""

from __future__ import annotations

from genbench import __version__
from genbench.errors import StoreError

SCHEMA_VERSION = 9
"""The number of the last script in ``migrations/versions``."""

APPLICATION_ID = 0x67656E62
"""'genb' in the header of an SQLite file, which distinguishes a store from other databases."""


def too_new(where: str, found: int, written_by: str | None) -> StoreError:
    """The error for a store that a newer genbench has written."""
    hint = f"pip install 'genbench>={written_by}'" if written_by else "install a newer genbench"
    by = f", written by genbench {written_by}" if written_by else ""
    return StoreError(
        f"the store {where} has schema {found}{by}; genbench {__version__} reads schema "
        f"{SCHEMA_VERSION} at most. To read it: {hint}"
    )


def too_old(where: str, found: int) -> StoreError:
    """The error for reading an older store, which would have to be migrated first."""
    return StoreError(
        f"the store {where} has the older schema {found}, and this genbench reads schema "
        f"{SCHEMA_VERSION}; any command that writes (such as genbench run) backs it up and "
        "migrates it, and so does Store.open(..., mode='write') in Python"
    )
