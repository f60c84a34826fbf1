"""Which seeds of a study are trained together, by one command.

A row trains its seeds together unless something speaks against it: then it is tried, and done if it
is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genbench.study.plan import Entry, Plan, PlannedRun
from genbench.study.table_columns import OF_TRAINING
from genbench.work import Ended

Group = tuple[PlannedRun, ...]


def why_alone(plan: Plan, entry: Entry, jobs: int) -> str:
    """Why each seed of a row gets a command of its own; empty if they may share one.

    Seconds that a study gives or shows are those of runs alone, runs on latents have data of their
    own, and several jobs share the machine already.
    """
    table = plan.study.table
    if not plan.study.together:
        return "together = false"
    if jobs > 1:
        return "several jobs run at a time"
    if entry.seconds is not None:
        return "its length is in seconds"
    if entry.source is not None:
        return "each seed builds on a run of its own"
    if any(other.row.compress == entry.row.title for other in plan.entries):
        return "other rows compress its runs"
    asked = [name for name in (*(table.columns or ()), table.sort_by) if name in OF_TRAINING]
    return f"the tables show {asked[0]}" if asked else ""


def groups_of(plan: Plan, missing: Sequence[PlannedRun], jobs: int) -> dict[str, Group]:
    """Title of an entry -> its missing runs, if there are several that may share a command."""
    found: dict[str, list[PlannedRun]] = {}
    for planned in missing:
        if not why_alone(plan, planned.entry, jobs):
            found.setdefault(planned.entry.title, []).append(planned)
    return {title: tuple(group) for title, group in found.items() if len(group) > 1}


def parts(end: Ended, group: Group) -> list[tuple[PlannedRun, Ended]]:
    """How each run of a group ended, as if it had had a command of its own."""
    answers = {run["seed"]: run for run in end.answer.get("runs", ())}
    found = []
    for planned in group:
        answer = answers.get(planned.seed, {})
        finished = answer.get("status") == "finished"
        own = replace(
            end,
            command=replace(end.command, title=planned.title),
            code=0 if finished else end.code or 1,
            answer=answer,
            error=answer.get("error") or end.error,
            seconds=end.seconds / len(group),
        )
        found.append((planned, own))
    return found
