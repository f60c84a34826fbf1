"""Change what a user may change at any time: name, tags and note of a run, and whether it is shown.

None of these decides a number, so the law that the numbers of a finished run never change holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from genbench.errors import UsageError
from genbench.store import lifecycle
from genbench.store.schema import run_tags, runs
from genbench.store.values import now

MOST_OF_A_NOTE = 10_000
"""The maximum length of a note."""


def edit(
    connection: Connection,
    run_id: str,
    *,
    name: str | None = None,
    note: str | None = None,
    tags: Sequence[str] = (),
    untag: Sequence[str] = (),
) -> None:
    """Change the name and the note of a run ("" removes it, None keeps it), add and remove tags.

    Raises UsageError for a name that is taken, a text that is too long, and a tag to remove that
    the run doesn't have.
    """
    number = lifecycle.locked(connection, run_id).run
    values: dict[str, Any] = {}
    if name is not None:
        lifecycle.check_name(connection, name or None, own=number)
        values["name"] = name or None
    if note is not None:
        lifecycle.check_text(note, "a note", MOST_OF_A_NOTE)
        values["note"] = note or None
    if values:
        try:
            connection.execute(update(runs).where(runs.c.run == number).values(values))
        except IntegrityError:
            raise lifecycle.name_taken(str(name)) from None
    _remove_tags(connection, run_id, number, untag)
    lifecycle.add_tags(connection, number, tags)


def _remove_tags(connection: Connection, run_id: str, number: int, tags: Sequence[str]) -> None:
    own = select(run_tags.c.tag).where(run_tags.c.run == number)
    known = sorted(connection.execute(own).scalars())
    for tag in tags:
        if tag not in known:
            raise UsageError(
                f"run {run_id} has no tag '{tag}'; its tags: {', '.join(known) or 'none'}"
            )
    chosen = run_tags.c.run == number, run_tags.c.tag.in_(tags)
    connection.execute(delete(run_tags).where(*chosen))


def set_archived(connection: Connection, run_id: str, archived: bool) -> None:
    """Archive a run or restore it; an archived run keeps the time of its first archiving.

    Raises UsageError for a run that is still running.
    """
    row = lifecycle.locked(connection, run_id)
    if archived and lifecycle.is_alive(row):
        raise UsageError(f"run {run_id} is still running (process {row.pid}); stop it first")
    moment = (row.archived_at or now()) if archived else None
    connection.execute(update(runs).where(runs.c.run == row.run).values(archived_at=moment))
