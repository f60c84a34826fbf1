"""What a study will execute, and how long that will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genbench.errors import NoStoreError
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.study.existing_runs import ExistingRuns, missing
from genbench.study.grid import book_of, planned_runs, read_paces
from genbench.study.outcome import Places
from genbench.study.pace import Pace
from genbench.study.plan import Plan, PlannedRun


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A planned run with its stored run, if any, the expected seconds and number of evaluations."""

    planned: PlannedRun
    run: Run | None
    seconds: float | None
    evaluations: int


def forecast(plan: Plan, places: Places) -> list[Forecast]:
    """What a study will execute, from the plan and the store; nothing is written.

    Raises StoreError for a store that can't be read, such as one of an older schema.
    """
    try:
        store = Store.open(places.store, mode="read")
    except NoStoreError:
        paces = book_of(plan, places).read()
        return [
            _forecast(planned, None, paces, len(planned.entry.later))
            for planned in planned_runs(plan, paces)
        ]
    found = []
    with store:
        paces = read_paces(plan, places, store)
        existing = ExistingRuns(store, plan)
        for planned in planned_runs(plan, paces):
            run = existing.run(planned)
            done = run is not None and run.status is Status.FINISHED
            left = missing(store, run, planned.entry) if done and run else planned.entry.later
            found.append(_forecast(planned, run, paces, len(left)))
    return found


def _forecast(
    planned: PlannedRun, run: Run | None, paces: Mapping[str, Pace], evaluations: int
) -> Forecast:
    pace = paces.get(planned.entry.pace_key)
    seconds = planned.entry.seconds
    if pace and planned.epochs:
        seconds = pace.seconds(planned.epochs)
    if run and run.status is Status.FINISHED:
        seconds = 0.0
    return Forecast(planned=planned, run=run, seconds=seconds, evaluations=evaluations)
