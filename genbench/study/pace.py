"""Equal seconds: how many epochs a row gets, from the pace that a pilot of it was measured at.

A pilot is a run of its own in a store that is thrown away, stopped as soon as its pace is known.
What it measured is kept beside the store, so that a study that is started again chooses the same
epochs and finds its runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.files.writing import write_text
from genbench.store import Store

PILOT_EPOCHS = 100_000
"""A pilot is stopped long before; so many that no end and no schedule comes into it."""

LONG_EPOCH_S = 20.0
"""One epoch that takes so long is measure enough, warming up or not."""

MEASURED_S = 5.0
"""Shorter epochs are watched for so long, two of them after the first at the least."""

SHARE = 0.25
"""Of a short budget no more than this share is spent on measuring."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a row costs: ``earlier_s`` for the stages before its own and for preparing its data,
    ``warm_s`` by which its first epoch takes longer, ``epoch_s`` for each, and ``later_s`` for the
    stages after it. Its own is the stage whose epochs are chosen.
    """

    earlier_s: float
    epoch_s: float
    warm_s: float = 0.0
    later_s: float = 0.0

    @property
    def fixed_s(self) -> float:
        """What doesn't depend on the number of epochs."""
        return self.earlier_s + self.warm_s + self.later_s

    def epochs(self, seconds: float) -> int:
        """The epochs of its stage that come nearest to so many seconds in all, at least 1."""
        return max(1, round((seconds - self.fixed_s) / self.epoch_s))

    def seconds(self, epochs: int) -> float:
        """What so many epochs of its stage take in all."""
        return self.fixed_s + epochs * self.epoch_s


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a pilot has shown so far: seconds before its own stage, of its epochs, and after it.

    ``unseen``: there are stages after it, which the pilot did not come to; ``stage`` is its name.
    """

    earlier_s: float
    epochs: tuple[float, ...]
    later_s: float = 0.0
    unseen: bool = False
    stage: str = ""

    def is_enough(self, seconds: float) -> bool:
        """Whether the pace is known, or that the earlier stages leave nothing of the budget."""
        if not self.epochs:
            return self.earlier_s >= seconds
        if self.epochs[0] >= LONG_EPOCH_S:
            return True
        wanted = min(MEASURED_S, SHARE * seconds)
        return len(self.epochs) > 2 and sum(self.epochs[1:]) >= wanted

    def pace(self) -> Pace | None:
        """The pace; the median is what a run meets, where the fastest epoch would be too hopeful.

        None where no epoch of its stage is done.
        """
        if not self.epochs:
            return None
        usual = median(self.epochs[1:] or self.epochs)
        warm = max(0.0, self.epochs[0] - usual)
        return Pace(
            earlier_s=self.earlier_s,
            epoch_s=max(usual, 1e-6),
            warm_s=warm,
            later_s=self.later_s,
        )


def read_pilot(path: Path, stage: str | None = None) -> Reading | None:
    """What the pilot in this store has shown; None before its run begins.

    Its own stage is the one that was given the epochs of a pilot, or is called ``stage``.
    """
    try:
        with Store.open(path, mode="read") as store:
            [run] = store.runs(limit=1)
            stages, done = store.stages(run.id), store.epochs(run.id)
    except (GenbenchError, ValueError):
        return None
    own_stages = [
        i
        for i, found in enumerate(stages)
        if (found.epochs == PILOT_EPOCHS if stage is None else found.name == stage)
    ]
    index = own_stages[-1] if own_stages else len(stages) - 1
    own, later = stages[index], {stage.name for stage in stages[index + 1 :]}
    spent = {found.name: found.prepare_s for found in stages}
    for epoch in done:
        if epoch.stage != own.name:
            spent[epoch.stage] += epoch.train_s
    return Reading(
        earlier_s=sum(seconds for name, seconds in spent.items() if name not in later),
        epochs=tuple(epoch.train_s for epoch in done if epoch.stage == own.name),
        later_s=sum(seconds for name, seconds in spent.items() if name in later),
        unseen=bool(later) and not any(epoch.stage in later for epoch in done),
        stage=own.name,
    )


def check_budget(title: str, earlier_s: float, seconds: float) -> None:
    """Raise UsageError where the other stages leave a row's own stage nothing of its seconds."""
    if earlier_s >= seconds:
        raise UsageError(
            f"{title}: its other stages alone take {earlier_s:.3g} s of the {seconds:g} s that it "
            "may train; give the row more seconds, or set those stages fewer epochs"
        )


# --- kept beside the store ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PaceBook:
    """A JSON file: pace key -> pace, with the threads and the runs at a time it was taken at.

    Deleting the file makes a study measure anew, and so perhaps choose other epochs.
    """

    path: Path
    threads: int

    def read(self) -> dict[str, Pace]:
        """The paces that were taken at this number of threads. Raises StoreError."""
        return {
            key.partition("/")[0]: Pace(**{n: entry[n] for n in _FIGURES if n in entry})
            for key, entry in self._entries().items()
            if entry["threads"] == self.threads
        }

    def add(self, key: str, pace: Pace, *, title: str, jobs: int) -> None:
        """Keep a pace; the file is replaced whole."""
        entry = {**asdict(pace), "row": title, "threads": self.threads, "jobs": jobs}
        entries = {**self._entries(), f"{key}/{self.threads}": entry}
        write_text(self.path, json.dumps(entries, indent=2, sort_keys=True) + "\n")

    def jobs(self) -> int:
        """The most runs at a time that a pace was taken at; 1 where none was."""
        return max((int(entry["jobs"]) for entry in self._entries().values()), default=1)

    def _entries(self) -> Mapping[str, Any]:
        try:
            entries: Mapping[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            valid = all(float(entry["epoch_s"]) > 0 for entry in entries.values())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise StoreError(
                f"{self.path} can't be read as the paces of a study; remove it, and they are "
                "measured anew"
            )
        return entries


_FIGURES = ("earlier_s", "epoch_s", "warm_s", "later_s")
