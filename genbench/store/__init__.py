"""The store of runs: `Store` reads and writes it, and `Recorder` records a running run.

Reading an SQLite store imports neither SQLAlchemy nor alembic; the recorder is imported lazily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genbench.store.filters import Filter as Filter
from genbench.store.records import (
    Artifact as Artifact,
    Draw as Draw,
    Epoch as Epoch,
    PartVersion as PartVersion,
    Run as Run,
    RunHead as RunHead,
    ScoreRecord as ScoreRecord,
    StageRecord as StageRecord,
    Status as Status,
    Summary as Summary,
    WarningRecord as WarningRecord,
)
from genbench.store.store import Store as Store

if TYPE_CHECKING:
    from genbench.store.recorder import Recorder as Recorder


def __getattr__(name: str) -> Any:
    if name == "Recorder":
        from genbench.store.recorder import Recorder

        return Recorder
    raise AttributeError(f"module 'genbench.store' has no attribute '{name}'")
