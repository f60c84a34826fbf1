"""What the commands share that use stored runs: the open store, the head of a run, its model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genbench.cli import options
from genbench.cli.output import record
from genbench.cli.session import SESSION
from genbench.formatting import counted

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.records import Run, ScoreRecord


def open_store(given: str | None) -> Store:
    """The store, for reading. Raises StoreError where there is none."""
    from genbench.store import Store

    return Store.open(SESSION.store_url(given), mode="read")


def resolved(store: Store, references: Sequence[str]) -> list[str]:
    """The ids of the runs that a command names, each once."""
    return list(dict.fromkeys(store.resolve(reference) for reference in references))


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of all commands that use the model of a stored run."""

    device: options.DeviceOption = None
    store: options.StoreOption = None
    data_dir: options.DataDirOption = None
    offline: options.OfflineOption = False
    as_json: options.JsonOption = False

    def watched(self, work: Callable[..., Any], added: Callable[[], int] = int) -> Any:
        """Do the work with progress shown; Ctrl-C ends it in one sentence.

        ``added`` counts the scores that it has added to the store by then.
        """
        from genbench.cli.progress import open_display
        from genbench.cli.stopping import StopSignals
        from genbench.errors import InterruptedRunError
        from genbench.runner import data_access

        display = open_display(SESSION.verbosity)
        access = data_access(self.data_dir, os.environ, display.transfer, offline=self.offline)
        try:
            with StopSignals(quiet=True) as signals, display:
                return work(access=access, device=self.device or "auto", should_stop=signals)
        except (KeyboardInterrupt, InterruptedRunError):
            scores = counted(count, "new score") if (count := added()) else "nothing"
            raise InterruptedRunError(f"interrupted; {scores} added to the store") from None


def head(run: Run) -> dict[str, Any]:
    """The identity and the status of a run, for JSON."""
    names = (
        *("name", "status", "model", "dataset", "preset", "seed", "device", "precision"),
        *("experiment", "epochs_done", "epochs_planned", "parameters"),
        *("created_at", "started_at", "finished_at", "train_s", "wall_s"),
        *("tags", "note", "archived_at", "parents", "error"),
    )
    return {"run": run.id, **record(run, *names)}


def compressed_by(run: Run) -> str:
    """The compressors of a run in words; "" for a run that compresses no other."""
    from genbench.spec import compression_in_words

    # Runs without parents are not parsed: there may be thousands.
    spec = json.loads(run.spec) if run.parents else {}
    return compression_in_words(spec.get("compressors", ()))


def ratio_to_floor(score: ScoreRecord) -> float | None:
    """The score divided by its floor (real against real at the same n); None without a floor."""
    if score.value is None or not score.floor:
        return None
    return score.value / score.floor


def age(created_at: str, now: datetime | None = None) -> str:
    """How long ago a UTC time was: '5 s', '12 min', '3 h', '9 d'."""
    then = datetime.fromisoformat(created_at)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
