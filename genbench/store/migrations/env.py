"""The environment of alembic: `genbench.store.migrate` passes the connection with its transaction.

To add a version, change ``schema.py``, write ``versions/000N_what.py`` by hand (see the last one),
increase `version.SCHEMA_VERSION`, and add ``tests/store/old/vN.db`` for the version before.
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
