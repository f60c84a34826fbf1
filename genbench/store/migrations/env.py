"""Alembic's door: `genbench.store.migrate` hands it the connection and its transaction.

A new version: change ``schema.py``, write ``versions/000N_what.py`` by hand (see the last one), set
`version.SCHEMA_VERSION`, add ``tests/store/old/vN.db`` of the version before.
"""

from __future__ import annotations

from alembic import context

from genbench.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="schema_version",
    render_as_batch=True,
)
context.run_migrations()
