"""Tunings in the store: the question, and what was proposed, with the runs that tried it.

Law: the results of a tuning are those of its runs; nothing of them is stored twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genbench.spec import canonical_json

if TYPE_CHECKING:
    from genbench.store.store import Store


@dataclass(frozen=True, kw_only=True)
class TuningRecord:
    """A tuning; ``digest`` is the hash of what is asked, and ``paces`` what pilots have measured.

    ``body`` has the question and how long to search for an answer.
    """

    number: int
    name: str
    digest: str
    body: Mapping[str, Any]
    paces: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Settings to try: a trial, or with ``confirms`` a repeat of a trial with another seed.

    ``notes`` is what the sampler has to know later, and the length of the run. ``run`` is the id of
    its run, once there is one; the run may have been deleted since.
    """

    number: int
    settings: Mapping[str, Any]
    seed: int
    notes: Mapping[str, Any] = field(default_factory=dict)
    confirms: int | None = None
    run: str | None = None


def tunings(store: Store) -> list[TuningRecord]:
    """All tunings of a store, in the order in which they were begun."""
    return [
        TuningRecord(
            number=number, name=name, digest=digest, body=json.loads(body), paces=json.loads(paces)
        )
        for number, name, digest, body, paces in store.rows(
            "SELECT tuning, name, digest, body, paces FROM tunings ORDER BY tuning"
        )
    ]


def proposals(store: Store, tuning: int, number: int | None = None) -> list[Proposal]:
    """The proposals of a tuning in the order of their numbers, or the one with this number."""
    which = "tuning = :tuning" + ("" if number is None else " AND number = :number")
    named = {"tuning": tuning} | ({} if number is None else {"number": number})
    return [
        Proposal(
            number=number,
            confirms=confirms,
            settings=json.loads(settings),
            notes=json.loads(notes),
            seed=seed,
            run=run,
        )
        for number, confirms, settings, notes, seed, run in store.rows(
            "SELECT number, confirms, settings, notes, seed, run_id FROM proposals "
            f"WHERE {which} ORDER BY number",
            named,
        )
    ]


def create(store: Store, name: str, digest: str, body: Mapping[str, Any]) -> TuningRecord:
    """Store a new tuning. Raises UsageError for a name that can't be one."""
    from sqlalchemy import insert

    from genbench.store.lifecycle import check_form
    from genbench.store.schema import tunings as table
    from genbench.store.values import now

    check_form(name)
    row = {"name": name, "digest": digest, "body": canonical_json(body), "created_at": now()}
    with store.transaction() as connection:
        number = connection.execute(insert(table).values(row).returning(table.c.tuning))
        return TuningRecord(
            number=number.scalar_one(), name=name, digest=digest, body=body, paces={}
        )


def replace_body(store: Store, tuning: int, body: Mapping[str, Any]) -> None:
    """Replace the question of a tuning, or how long to search."""
    from sqlalchemy import update

    from genbench.store.schema import tunings as table

    change = update(table).where(table.c.tuning == tuning).values(body=canonical_json(body))
    with store.transaction() as connection:
        connection.execute(change)


def add_pace(store: Store, tuning: int, key: str, pace: Mapping[str, Any]) -> dict[str, Any]:
    """Store what a pilot has measured, beside what others have; return all paces."""
    from sqlalchemy import select, update

    from genbench.store.schema import tunings as table

    own = table.c.tuning == tuning
    with store.transaction() as connection:
        known = connection.execute(select(table.c.paces).where(own).with_for_update()).scalar_one()
        paces = {key: dict(pace), **json.loads(known)}
        connection.execute(update(table).where(own).values(paces=canonical_json(paces)))
    return paces


def propose(
    store: Store,
    tuning: int,
    settings: Mapping[str, Any],
    *,
    seed: int,
    notes: Mapping[str, Any],
    number: int,
    confirms: int | None = None,
) -> Proposal:
    """Store a proposal, before its run is started; return the one that has the number now.

    Several processes may propose for a number at the same time: the first one decides.
    """
    from genbench.store.schema import proposals as table
    from genbench.store.upsert import insert_missing
    from genbench.store.values import now

    row = {
        "tuning": tuning,
        "number": number,
        "confirms": confirms,
        "settings": canonical_json(settings),
        "notes": canonical_json(notes),
        "seed": seed,
        "created_at": now(),
    }
    with store.transaction() as connection:
        insert_missing(connection, table, [row])
    return proposals(store, tuning, number)[0]


def attach(store: Store, tuning: int, number: int, run: str) -> None:
    """Store the run of a proposal."""
    from sqlalchemy import update as updated

    from genbench.store.schema import proposals as table

    own = (table.c.tuning == tuning) & (table.c.number == number)
    with store.transaction() as connection:
        connection.execute(updated(table).where(own).values(run_id=run))


def last_score(store: Store, name: str) -> int | None:
    """The number of the newest score of the run with this name; None without one."""
    rows = store.rows(
        "SELECT max(e.eval) FROM evals e JOIN runs r ON r.run = e.run WHERE r.name = :name",
        {"name": name},
    )
    return rows[0][0] if rows else None


def prune(store: Store, run: str) -> None:
    """Mark a run that a tuning has stopped as pruned, unless it has ended in another way."""
    from sqlalchemy import update as updated

    from genbench.store.records import Status
    from genbench.store.schema import runs

    stopped = (runs.c.id == run) & (runs.c.status == Status.INTERRUPTED.value)
    with store.transaction() as connection:
        connection.execute(updated(runs).where(stopped).values(status=Status.PRUNED.value))
