"""Pilots: runs in temporary stores, which measure the pace of each row.

A pilot is stopped as soon as enough epochs of its own stage have run. If there are later stages, a
second pilot with one epoch runs to the end, to measure those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from genbench.study.children import Ended, Task
from genbench.study.outcome import Places
from genbench.study.pace import Reading, read_pilot
from genbench.study.plan import Entry, Plan
from genbench.study.tasks import pilot_task

STORE = "runs.db"


@dataclass
class Pilots:
    """The pilots of a study; ``measured(entry, reading, ended)`` is called with each result."""

    plan: Plan
    places: Places
    scratch: Path
    measured: Callable[[Entry, Reading | None, Ended], None]
    first: dict[Task, Entry] = field(default_factory=dict)
    second: dict[Task, tuple[Entry, Reading]] = field(default_factory=dict)

    def tasks(self, entries: Iterable[Entry]) -> list[Task]:
        """The first pilot of each row."""
        for entry in entries:
            self.first[self._pilot(entry, to_the_end=False)] = entry
        return list(self.first)

    def ended(self, end: Ended) -> list[Task]:
        """Read a pilot that has ended; return the second pilot of its row, if it needs one."""
        if end.task in self.second:
            entry, before = self.second[end.task]
            rest = read_pilot(self._store(entry, True), before.stage)
            self.measured(entry, _joined(before, rest), end)
            return []
        entry = self.first[end.task]
        reading = read_pilot(self._store(entry, False))
        if reading is None or not reading.epochs or not reading.unseen:
            self.measured(entry, reading, end)
            return []
        task = self._pilot(entry, to_the_end=True)
        self.second[task] = (entry, reading)
        return [task]

    def _pilot(self, entry: Entry, *, to_the_end: bool) -> Task:
        folder = self._store(entry, to_the_end).parent
        folder.mkdir()
        return pilot_task(self.plan, entry, folder, self.places, to_the_end=to_the_end)

    def _store(self, entry: Entry, to_the_end: bool) -> Path:
        return self.scratch / f"{entry.pace_key}{'-end' if to_the_end else ''}" / STORE


def _joined(pilot: Reading, to_the_end: Reading | None) -> Reading | None:
    if to_the_end is None or to_the_end.unseen:
        return None
    return replace(pilot, later_s=to_the_end.later_s, unseen=False)
