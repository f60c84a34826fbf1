"""The first schema that a store may have: the scripts after this one change it.

Nothing is upgraded to it: a new store gets its tables from ``schema.py``. ``tests/store/old/v1.db``
is a store with this schema.
"""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: no store is older."""
