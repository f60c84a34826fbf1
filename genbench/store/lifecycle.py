"""Create, take over, end and delete a run, as statements on its row.

Each function works in the transaction of the given connection.
Law: a finished run never changes; only names, tags and new scores may be added.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from genbench.errors import TakenOverError, UsageError
from genbench.spec import MOST_LETTERS, RunSpec, canonical_json
from genbench.store.process import Owner, is_lost, this_process
from genbench.store.records import PartVersion, Status
from genbench.store.references import no_such_run
from genbench.store.schema import (
    environments,
    experiments,
    run_environments,
    run_params,
    run_parents,
    run_plugins,
    run_tags,
    runs,
    stages,
)
from genbench.store.upsert import insert_missing
from genbench.store.values import flat_params, now, param_columns


def create(
    connection: Connection,
    spec: RunSpec,
    *,
    name: str | None,
    tags: Sequence[str],
    planned: Sequence[tuple[str, int]],
    environment: Mapping[str, Any],
    parameters: int | None,
    plugins: Sequence[PartVersion] = (),
    settings: RunSpec | None = None,
) -> str:
    """Insert a running run of this process with everything that is known now; return its id."""
    check_name(connection, name)
    run_id = _free_id(connection)
    moment = now()
    experiment = {"experiment": spec.experiment, "model": spec.model, "dataset": spec.dataset}
    insert_missing(connection, experiments, [{**experiment, "created_at": moment}])
    row = {
        **_head(spec),
        **_ownership(),
        **_git(environment),
        "id": run_id,
        "name": name,
        "created_at": moment,
        "started_at": moment,
        "epochs_planned": sum(epochs for _, epochs in planned),
        "parameters": parameters,
        "environment": environment_number(connection, environment),
    }
    try:
        number = connection.execute(insert(runs).values(row).returning(runs.c.run)).scalar_one()
    except IntegrityError:
        raise name_taken(str(name)) from None
    _insert_params(connection, number, settings or spec)
    add_tags(connection, number, tags)
    add_plugins(connection, number, plugins)
    began = {"run": number, "step": 0, "environment": row["environment"]}
    connection.execute(insert(run_environments).values(began))
    insert_missing(
        connection,
        run_parents,
        [{"run": number, "parent": p, "position": i} for i, p in enumerate(spec.parents)],
    )
    insert_missing(
        connection,
        stages,
        [
            {"run": number, "stage": stage, "position": position, "epochs": epochs}
            for position, (stage, epochs) in enumerate(planned)
        ],
    )
    return run_id


def locked_number(connection: Connection, run_id: str) -> int:
    """The number of a run in the other tables. Raises NoSuchRunError."""
    return int(locked(connection, run_id).run)


def take_over(
    connection: Connection,
    run_id: str,
    *,
    environment: Mapping[str, Any] | None = None,
    plugins: Sequence[PartVersion] = (),
) -> None:
    """Make this process the owner of a run. Raises UsageError if it is finished or running.

    The environment of the run is then the given one; `journal.rewind` stores from which step on.
    """
    row = locked(connection, run_id)
    if row.status == Status.FINISHED:
        raise UsageError(
            f"run {run_id} is finished", hint=f"To train it again: genbench rerun {run_id}"
        )
    if is_alive(row):
        raise UsageError(
            f"run {run_id} is still running (process {row.pid} on {str(row.host).split('#')[0]}); "
            "stop that process first"
        )
    values = {**_ownership(), "finished_at": None, "error": None, "error_kind": None}
    if environment is not None:
        values["environment"] = environment_number(connection, environment)
    if connection.execute(select(run_plugins).where(run_plugins.c.run == row.run)).first():
        # A run from an old store has no versions for its beginning, so it gets none at all.
        add_plugins(connection, row.run, plugins)
    connection.execute(update(runs).where(runs.c.run == row.run).values(values))


def check_owner(connection: Connection, run_id: str) -> None:
    """Raise TakenOverError if this process is not (or no longer) the owner of the run."""
    wanted = select(runs).where(runs.c.id == run_id).with_for_update()
    _check_owner(connection.execute(wanted).first(), run_id)


def _check_owner(row: Row[Any] | None, run_id: str) -> None:
    if row is None:
        raise TakenOverError(
            f"run {run_id} was removed from the store while this process worked on it, so this "
            "process stops"
        )
    mine = this_process()
    if (row.host, row.pid, row.process_start) != (mine.host, mine.pid, mine.started):
        raise TakenOverError(
            f"run {run_id} was taken over by process {row.pid} on {str(row.host).split('#')[0]}, "
            "since this one had sent no heartbeat; it stops, and writes nothing more to the run"
        )


def heartbeat(connection: Connection, run_id: str) -> None:
    """Store that the process of the run is alive."""
    running = (runs.c.id == run_id) & (runs.c.status == Status.RUNNING.value)
    connection.execute(update(runs).where(running).values(heartbeat_at=now()))


def end(
    connection: Connection,
    run_id: str,
    status: Status,
    *,
    error: str | None = None,
    kind: str | None = None,
) -> None:
    """Set the last status of a run of this process; a finished run doesn't change."""
    row = locked(connection, run_id)
    _check_owner(row, run_id)
    if row.status != Status.FINISHED:
        values = {"status": status.value, "finished_at": now(), "error": error, "error_kind": kind}
        connection.execute(update(runs).where(runs.c.run == row.run).values(values))


def set_parameters(connection: Connection, run_id: str, parameters: int) -> None:
    """Set the number of parameters of a running run, which has changed its networks."""
    check_owner(connection, run_id)
    values = {"parameters": parameters}
    connection.execute(update(runs).where(runs.c.id == run_id).values(values))


def remove(connection: Connection, run_id: str) -> None:
    """Delete a run with all its rows. Raises UsageError if it is running or other runs need it."""
    row = locked(connection, run_id)
    if is_alive(row):
        raise UsageError(f"run {run_id} is still running (process {row.pid}); stop it first")
    needed = select(runs.c.id).join(run_parents).where(run_parents.c.parent == run_id)
    children = connection.execute(needed.order_by(runs.c.run)).scalars().all()
    if children:
        raise UsageError(
            f"run {run_id} is needed by what was made from it: {', '.join(children)}",
            hint=f"Delete these first: genbench rm {' '.join(children)}",
        )
    connection.execute(delete(runs).where(runs.c.run == row.run))


def discard(connection: Connection, run_id: str) -> None:
    """Delete a run of this process that could not be started."""
    connection.execute(delete(runs).where(runs.c.id == run_id))


def add_tags(connection: Connection, number: int, tags: Sequence[str]) -> None:
    """Add tags; those that are there already stay."""
    for tag in tags:
        check_text(tag, "a tag")
    insert_missing(connection, run_tags, [{"run": number, "tag": tag} for tag in tags])


def add_plugins(connection: Connection, number: int, parts: Sequence[PartVersion]) -> None:
    """Add the versions of parts; those that are there already stay."""
    insert_missing(connection, run_plugins, [{"run": number, **asdict(part)} for part in parts])


def locked(connection: Connection, run_id: str) -> Row[Any]:
    """The row of a run, locked for this transaction. Raises NoSuchRunError."""
    row = connection.execute(select(runs).where(runs.c.id == run_id).with_for_update()).first()
    if row is None:
        raise no_such_run(run_id)
    return row


def is_alive(row: Row[Any]) -> bool:
    """Whether the process of a run still works on it."""
    owner = Owner(host=row.host, pid=row.pid, started=row.process_start) if row.pid else None
    return row.status == Status.RUNNING and not is_lost(owner, row.heartbeat_at)


def check_name(connection: Connection, name: str | None, *, own: int | None = None) -> None:
    """Raise UsageError for a name that is malformed or taken by a run other than ``own``."""
    if name is None:
        return
    check_form(name)
    taken = select(runs.c.run).where(or_(runs.c.name == name, runs.c.id == name))
    if connection.execute(taken.where(runs.c.run != (own or 0))).first():
        raise name_taken(name)


def check_form(name: str) -> None:
    """Raise UsageError for a text that can't be the name of a run in any store."""
    check_text(name, "the name of a run")
    if not name or name.startswith("@") or name != name.strip():
        raise UsageError(
            f"'{name}' can't be the name of a run: it is empty, or begins with '@', or has spaces "
            "around it"
        )


def check_text(text: str, what: str, most: int = MOST_LETTERS) -> None:
    """Raise UsageError for a text that is too long, not valid Unicode, or has a NUL."""
    if len(text) > most:
        raise UsageError(
            f"{what} has {most} characters at most, and '{text[:20]}...' has {len(text)}"
        )
    if not text.isprintable() and any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise UsageError(f"{what} must be valid UTF-8, and '{text[:20]}' is not")
    if "\0" in text:
        raise UsageError(f"{what} must not contain the character NUL, and '{text[:20]}' does")


def name_taken(name: str) -> UsageError:
    """The error for a name that another run has."""
    return UsageError(
        f"the name '{name}' is taken by another run; give another --name",
        hint=f"To delete that run: genbench rm {name}",
    )


def _free_id(connection: Connection) -> str:
    while True:
        run_id = secrets.token_hex(5)
        taken = select(runs.c.run).where(or_(runs.c.id == run_id, runs.c.name == run_id))
        if connection.execute(taken).first() is None:
            return run_id


def _head(spec: RunSpec) -> dict[str, Any]:
    same = ("model", "dataset", "experiment", "digest", "seed", "device", "precision", "preset")
    return {**{name: getattr(spec, name) for name in same}, "spec": spec.to_json()}


def _ownership() -> dict[str, Any]:
    owner = this_process()
    return {
        "status": Status.RUNNING.value,
        "host": owner.host,
        "pid": owner.pid,
        "process_start": owner.started,
        "heartbeat_at": now(),
    }


def _git(environment: Mapping[str, Any]) -> dict[str, Any]:
    dirty = environment.get("git_dirty")
    return {
        "git_commit": environment.get("git_commit"),
        "git_dirty": None if dirty is None else int(dirty),
    }


def environment_number(connection: Connection, environment: Mapping[str, Any]) -> int:
    """The number of the row of an environment; equal machines and packages share one row."""
    body = {k: v for k, v in environment.items() if k not in ("git_commit", "git_dirty")}
    text = canonical_json(body)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    packages = body.get("packages") or {}
    row = {
        "digest": digest,
        **{name: body.get(name) for name in ("host", "platform", "python", "cpu", "cpus")},
        **{name: body.get(name) or packages.get(name) for name in ("torch", "genbench")},
        "body": text,
    }
    insert_missing(connection, environments, [row])
    wanted = select(environments.c.environment).where(environments.c.digest == digest)
    return int(connection.execute(wanted).scalar_one())


def _insert_params(connection: Connection, number: int, spec: RunSpec) -> None:
    rows = []
    for key, value in flat_params(json.loads(spec.to_json())).items():
        num, text = param_columns(value)
        rows.append({"run": number, "key": key, "num": num, "text": text})
    insert_missing(connection, run_params, rows)
