"""The grid of a study as runs, with the epochs that their paces give them."""

from __future__ import annotations

from collections.abc import Mapping

from genbench.store import Store
from genbench.store.tasks import TaskState, select_tasks
from genbench.study.outcome import Places
from genbench.study.pace import Pace, PaceBook
from genbench.study.plan import Entry, Plan, PlannedRun
from genbench.study.tasks import pace_identity

PACE_FILE = "pace.json"


def planned_runs(plan: Plan, paces: Mapping[str, Pace]) -> list[PlannedRun]:
    """The grid, ordered by seed, so that every row runs once before any row runs twice."""
    return [
        PlannedRun(entry, seed, _epochs(entry, paces))
        for seed in plan.seeds
        for entry in plan.entries
    ]


def book_of(plan: Plan, places: Places) -> PaceBook:
    """The file with the paces of a study."""
    return PaceBook(path=places.folder / PACE_FILE, threads=plan.study.threads)


def read_paces(plan: Plan, places: Places, store: Store) -> dict[str, Pace]:
    """The paces in the file of a study, and those that workers elsewhere have measured for it."""
    measured = {
        task.identity: Pace(**task.answer["pace"])
        for task in select_tasks(store, batch=plan.tag, states=[TaskState.DONE])
        if "pace" in task.answer
    }
    found = {entry.pace_key: measured.get(pace_identity(plan, entry)) for entry in plan.entries}
    known = {key: pace for key, pace in found.items() if pace is not None}
    return {**known, **book_of(plan, places).read()}


def _epochs(entry: Entry, paces: Mapping[str, Pace]) -> int | None:
    if entry.seconds is None:
        return entry.spec.epochs
    pace = paces.get(entry.pace_key)
    return pace.epochs(entry.seconds) if pace else None
