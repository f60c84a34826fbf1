"""What ``genbench bench`` has measured: rows that belong to no run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.spec import RunSpec, canonical_json
from genbench.store.store import Store


@dataclass(frozen=True, kw_only=True)
class StoredBench:
    """A stored measurement; ``body`` is what ``bench --json`` printed."""

    bench: int
    created_at: str
    model: str
    dataset: str
    experiment: str
    device: str
    body: Mapping[str, Any]


def add_bench(
    store: Store, spec: RunSpec, body: Mapping[str, Any], environment: Mapping[str, Any]
) -> int:
    """Store a measurement of a spec; returns its number."""
    from sqlalchemy import insert

    from genbench.store.lifecycle import environment_number
    from genbench.store.schema import benches
    from genbench.store.values import now

    row: dict[str, Any] = {
        "created_at": now(),
        **{name: getattr(spec, name) for name in ("model", "dataset", "experiment", "device")},
        "body": canonical_json(body),
    }
    with store.transaction() as connection:
        row["environment"] = environment_number(connection, environment)
        made = connection.execute(insert(benches).values(row)).inserted_primary_key
    return int(made[0]) if made else 0


def stored_benches(store: Store) -> list[StoredBench]:
    """All measurements, newest first."""
    names = ("bench", "created_at", "model", "dataset", "experiment", "device")
    rows = store.rows(f"SELECT body, {', '.join(names)} FROM benches ORDER BY bench DESC")
    return [
        StoredBench(body=json.loads(body), **dict(zip(names, rest, strict=True)))
        for body, *rest in rows
    ]
