"""Equal training time: the number of epochs of a row, from its pace, which a pilot run measures.

A pilot is a separate run in a temporary store; it is stopped as soon as its pace is known. The pace
is saved next to the study's store, so that a study that is started again chooses the same number of
epochs and finds its runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.files.writing import write_text
from genbench.store import Store

PILOT_EPOCHS = 100_000
"""A pilot is stopped long before; the number is so large that no schedule affects its pace."""

LONG_EPOCH_S = 20.0
"""One epoch that takes longer than this is enough to know the pace, despite the warm-up."""

MEASURED_S = 5.0
"""Shorter epochs are measured for at least this time, and at least two after the first."""

SHARE = 0.25
"""The maximum share of a short budget that is spent on measuring."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The cost of a row, in seconds. Its own stage is the one for which the epochs are chosen.

    ``earlier_s`` are the seconds of the stages before its own and of preparing its data, ``warm_s``
    the additional seconds of the first epoch, ``epoch_s`` those of each epoch, and ``later_s``
    those of the stages after it.
    """

    earlier_s: float
    epoch_s: float
    warm_s: float = 0.0
    later_s: float = 0.0

    @property
    def fixed_s(self) -> float:
        """Seconds that don't depend on the number of epochs."""
        return self.earlier_s + self.warm_s + self.later_s

    def epochs(self, seconds: float) -> int:
        """The number of epochs that comes closest to ``seconds`` in total, at least 1."""
        return max(1, round((seconds - self.fixed_s) / self.epoch_s))

    def seconds(self, epochs: int) -> float:
        """The total seconds with this number of epochs."""
        return self.fixed_s + epochs * self.epoch_s


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a pilot has measured so far: seconds before its own stage, of its epochs, and after it.

    ``unseen`` is true if the pilot did not reach the later stages; ``stage`` names its own.
    """

    earlier_s: float
    epochs: tuple[float, ...]
    later_s: float = 0.0
    unseen: bool = False
    stage: str = ""

    def is_enough(self, seconds: float) -> bool:
        """Whether the pace is known, or the earlier stages have used up the budget."""
        if not self.epochs:
            return self.earlier_s >= seconds
        if self.epochs[0] >= LONG_EPOCH_S:
            return True
        wanted = min(MEASURED_S, SHARE * seconds)
        return len(self.epochs) > 2 and sum(self.epochs[1:]) >= wanted

    def pace(self) -> Pace | None:
        """The pace, from the median epoch; None if no epoch of its stage is done."""
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
    """What the pilot in this store has measured; None before its run begins.

    Its own stage is called ``stage``, or else is the one with `PILOT_EPOCHS` epochs.
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
    """Raise UsageError if the other stages take all seconds of a row."""
    if earlier_s >= seconds:
        raise UsageError(
            f"{title}: its other stages take {earlier_s:.3g} s of its {seconds:g} s of training; "
            "give the row more seconds, or set fewer epochs for those stages"
        )


# --- the file of paces


@dataclass(frozen=True, kw_only=True)
class PaceBook:
    """A JSON file: pace key -> pace, with the number of threads and of simultaneous runs.

    Deleting the file makes a study measure again, and possibly choose other epochs.
    """

    path: Path
    threads: int

    def read(self) -> dict[str, Pace]:
        """The paces that were measured with this number of threads. Raises StoreError."""
        return {
            key.partition("/")[0]: Pace(
                **{f.name: entry[f.name] for f in fields(Pace) if f.name in entry}
            )
            for key, entry in self._entries().items()
            if entry["threads"] == self.threads
        }

    def add(self, key: str, pace: Pace, *, title: str, jobs: int) -> None:
        """Save a pace; the file is replaced as a whole."""
        entry = {**asdict(pace), "row": title, "threads": self.threads, "jobs": jobs}
        entries = {**self._entries(), f"{key}/{self.threads}": entry}
        write_text(self.path, json.dumps(entries, indent=2, sort_keys=True) + "\n")

    def jobs(self) -> int:
        """The maximum number of simultaneous runs when a pace was measured; 1 without any."""
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
                f"{self.path} doesn't hold the paces of a study; delete it, and the study measures "
                "them again"
            )
        return entries
