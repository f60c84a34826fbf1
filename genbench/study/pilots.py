"""Pilots: runs in temporary stores, which measure how long an epoch takes.

A pilot is stopped as soon as enough epochs of its own stage have run. If there are later stages, a
second pilot with one epoch runs to the end, to measure those.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from genbench.errors import GenbenchError, InterruptedRunError
from genbench.store.claimed_task import CLAIM
from genbench.store.run_files import FILES
from genbench.study.pace import PILOT_EPOCHS, Pace, Reading, check_budget, read_pilot
from genbench.work import Command, Ended, carry_out

SCORELESS = ("--set", "run.metrics=[]", "--set", "run.samplers=[]")


def measure(words: Sequence[str], seconds: float, should_stop: Callable[[], bool]) -> Pace:
    """The pace of ``genbench run WORDS``, for runs of so many seconds.

    Raises UsageError if the other stages alone take the seconds, InterruptedRunError on a stop, and
    GenbenchError with the reason if the pilot fails.
    """
    title = " ".join(words[:2])
    with tempfile.TemporaryDirectory(prefix="genbench-pilot-") as scratch:
        store, end = _pilot(words, PILOT_EPOCHS, Path(scratch) / "first", should_stop, seconds)
        reading = read_pilot(store)
        if reading is not None and reading.epochs and reading.unseen:
            store, end = _pilot(words, 1, Path(scratch) / "last", should_stop)
            reading = _joined(reading, read_pilot(store, reading.stage))
        if reading is not None:
            check_budget(title, reading.earlier_s + reading.later_s, seconds)
        pace = reading.pace() if reading else None
        if pace is None:
            raise GenbenchError(f"the pace of {title} could not be measured: {end.reason}")
        return pace


def _pilot(
    words: Sequence[str],
    epochs: int,
    folder: Path,
    should_stop: Callable[[], bool],
    seconds: float | None = None,
) -> tuple[Path, Ended]:
    """The store of a pilot and how it ended; with ``seconds``, it is stopped when it is enough."""
    store, ends = folder / "runs.db", list[Ended]()
    folder.mkdir()

    def enough() -> bool:
        reading = read_pilot(store)
        return reading is not None and seconds is not None and reading.is_enough(seconds)

    command = Command(
        title="pilot",
        arguments=("run", *words, "--epochs", str(epochs), *SCORELESS),
        log=folder / "log",
        # Neither its run nor its files belong to the task or to the store.
        environ={"GENBENCH_STORE": str(store), FILES: str(folder), CLAIM: ""},
        enough=enough if seconds is not None else None,
    )
    if not carry_out([command], at_once=1, should_stop=should_stop, ended=ends.append):
        raise InterruptedRunError("interrupted before the pace was known")
    return store, ends[0]


def _joined(pilot: Reading, to_the_end: Reading | None) -> Reading | None:
    if to_the_end is None or to_the_end.unseen:
        return None
    return replace(pilot, later_s=to_the_end.later_s, unseen=False)
