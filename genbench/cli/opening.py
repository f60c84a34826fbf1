"""What the reading commands share: opening the store, the head of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genbench.cli.session import SESSION

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.records import Run


def open_store(given: str | None) -> Store:
    """The store, for reading. Raises StoreError where there is none."""
    from genbench.store import Store

    return Store.open(SESSION.store_url(given), mode="read")


def head(run: Run) -> dict[str, Any]:
    """The identity and the status of a run, for JSON."""
    return {
        "run": run.id,
        "name": run.name,
        "status": run.status.value,
        "model": run.model,
        "dataset": run.dataset,
        "preset": run.preset,
        "seed": run.seed,
        "device": run.device,
        "precision": run.precision,
        "experiment": run.experiment,
        "epochs_done": run.epochs_done,
        "epochs_planned": run.epochs_planned,
        "parameters": run.parameters,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "train_s": run.train_s,
        "wall_s": run.wall_s,
        "tags": run.tags,
        "note": run.note,
        "archived_at": run.archived_at,
        "parents": run.parents,
        "error": run.error,
    }


def age(created_at: str, now: datetime | None = None) -> str:
    """How long ago a UTC time was: '5 s', '12 min', '3 h', '9 d'."""
    then = datetime.fromisoformat(created_at)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
