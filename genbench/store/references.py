"""References to runs: ``@1``, an id, the beginning of an id, a name."""

from __future__ import annotations

from genbench.errors import AmbiguousRunError, NoSuchRunError, suggest
from genbench.store.reader import Rows, RowSource

FEW_IDS = 10
"""The maximum number of ids in a message."""


def resolve(reader: RowSource, ref: str) -> str:
    """The id for a reference: ``@1``, an id, a name, or the beginning of exactly one id.

    Raises NoSuchRunError, or AmbiguousRunError with the ids.
    """
    if ref.startswith("@"):
        return _newest(reader, ref)
    same = reader.rows("SELECT id FROM runs WHERE id = :ref OR name = :ref", {"ref": ref})
    if same:
        return str(same[0][0])
    found: Rows = []
    if ref.isalnum():
        beginning = {"ref": f"{ref.lower()}%"}
        found = reader.rows("SELECT id FROM runs WHERE id LIKE :ref ORDER BY run DESC", beginning)
    if len(found) == 1:
        return str(found[0][0])
    if found:
        ids = ", ".join(row[0] for row in found[:FEW_IDS])
        more = f" and {len(found) - FEW_IDS} more" if len(found) > FEW_IDS else ""
        raise AmbiguousRunError(
            f"'{ref}' matches {len(found)} runs: {ids}{more}; give more characters"
        )
    names = [row[0] for row in reader.rows("SELECT name FROM runs WHERE name IS NOT NULL")]
    hint = suggest(ref, names) if names else ""
    raise no_such_run(ref, hint if hint.startswith("; did") else "")


def no_such_run(ref: str, more: str = "") -> NoSuchRunError:
    """The error for a reference without a run; ``more`` follows in the message."""
    return NoSuchRunError(f"no run '{ref}' in this store{more}", hint="See: genbench runs")


def _newest(reader: RowSource, ref: str) -> str:
    place = int(ref[1:]) if ref[1:].isdecimal() else 0
    count = reader.rows("SELECT count(*) FROM runs WHERE archived_at IS NULL")[0][0]
    if not 1 <= place <= count:
        raise no_such_run(ref, f": @1 is the newest of its {count}")
    statement = (
        "SELECT id FROM runs WHERE archived_at IS NULL ORDER BY run DESC LIMIT 1 OFFSET :skip"
    )
    return str(reader.rows(statement, {"skip": place - 1})[0][0])
