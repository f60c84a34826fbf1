"""The store of runs: `Store` reads and writes it, `Recorder` listens to a run, records come out.

Reading an SQLite store imports neither SQLAlchemy nor alembic; the recorder is imported when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genbench.store.records import (
    Artifact,
    Draw,
    Epoch,
    PartVersion,
    Run,
    ScoreRecord,
    StageRecord,
    Status,
    Summary,
    WarningRecord,
)
from genbench.store.store import Store

if TYPE_CHECKING:
    from genbench.store.recorder import Recorder as Recorder

__all__ = [
    "Artifact",
    "Draw",
    "Epoch",
    "PartVersion",
    "Recorder",
    "Run",
    "ScoreRecord",
    "StageRecord",
    "Status",
    "Store",
    "Summary",
    "WarningRecord",
]


def __getattr__(name: str) -> Any:
    if name == "Recorder":
        from genbench.store.recorder import Recorder

        return Recorder
    raise AttributeError(f"module 'genbench.store' has no attribute '{name}'")
