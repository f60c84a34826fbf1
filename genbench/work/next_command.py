"""The next command of a task: its own, or what continues the runs that it has made already.

A task that was claimed before may have runs: those that are not finished are resumed from their
checkpoints, and nothing is trained twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.errors import UsageError
from genbench.store import Run, Status
from genbench.store.tasks import Task

_WORD = re.compile(r"(.*:)?\{(\w+)\}", re.DOTALL)
_SEEDS = "--seeds"
_WHOLE = ("trial",)
"""Commands that resume their runs by themselves, and that succeed although a run has failed."""


def next_command(
    task: Task, runs: Sequence[Run], answers: Mapping[str, Any], *, ended: bool = False
) -> tuple[str, ...] | None:
    """The words of the next command; None if nothing is left to do.

    ``answers`` are those of the task's parents, and ``ended`` says whether a command of this claim
    has succeeded. Raises UsageError if the answers lack a value.
    """
    if ended and (not runs or task.command[0] in _WHOLE):
        return None
    if task.command[0] in _WHOLE:
        return task.command
    several = _SEEDS in task.command
    for run in runs:
        # A run of several that failed is a result; alone, it failed before and is tried again.
        if run.status is not Status.FINISHED and not (several and run.status is Status.FAILED):
            return ("resume", run.id, "--json")
    if not runs:
        return tuple(_filled(word, answers, task) for word in task.command)
    return _for_the_rest(task, runs) if several else None


def _filled(word: str, answers: Mapping[str, Any], task: Task) -> str:
    found = _WORD.fullmatch(word)
    if found is None:
        return word
    if found[2] not in answers:
        raise UsageError(f"task {task.number} needs '{found[2]}', which no earlier task gave")
    return f"{found[1] or ''}{answers[found[2]]}"


def _for_the_rest(task: Task, runs: Sequence[Run]) -> tuple[str, ...] | None:
    """The command for the seeds that have no run yet; the seeds are ``0,1,2``."""
    words, at = list(task.command), task.command.index(_SEEDS) + 1
    made = {run.seed for run in runs}
    left = [seed for seed in words[at].split(",") if int(seed) not in made]
    words[at] = ",".join(left)
    return tuple(words) if left else None
