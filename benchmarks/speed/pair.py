"""Two programs that do the same work in turn, and the ratio of their seconds."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Seconds = tuple[float, float]
"""Those of the clock and of the CPU."""


@dataclass
class Pair:
    """Seconds of both sides, one entry per round, each for the work that ``unit`` names."""

    name: str
    unit: str
    theirs: list[Seconds] = field(default_factory=list)
    ours: list[Seconds] = field(default_factory=list)

    def add(self, theirs: Seconds, ours: Seconds) -> None:
        """Add a round."""
        self.theirs.append(theirs)
        self.ours.append(ours)

    def ratio(self, kind: int = 0) -> float:
        """The median over rounds of theirs over ours, by the clock (0) or by the CPU (1)."""
        pairs = zip(self.theirs, self.ours, strict=True)
        return statistics.median(a[kind] / b[kind] for a, b in pairs)

    def line(self) -> str:
        """A row of a Markdown table with the columns of `HEAD`."""
        cells = [
            milliseconds(statistics.median(seconds[kind] for seconds in side))
            for side in (self.theirs, self.ours)
            for kind in (0, 1)
        ]
        ratios = [f"{self.ratio(kind):.2f}" for kind in (0, 1)]
        return f"| {self.name} | {self.unit} | {' | '.join([*cells, *ratios])} |"


HEAD = (
    "| what | for | theirs | CPU | genbench | CPU | ratio | of the CPU |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def milliseconds(seconds: float) -> str:
    """Three digits of milliseconds, or whole ones from 100 ms on."""
    ms = seconds * 1e3
    return f"{ms:,.0f} ms" if ms >= 100 else f"{ms:.3g} ms"


def now() -> Seconds:
    """The clock, and the CPU seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + ended.ru_utime + ended.ru_stime


def since(begun: Seconds) -> Seconds:
    """The seconds since `now` returned ``begun``."""
    wall, cpu = now()
    return wall - begun[0], cpu - begun[1]


def timed(call: Callable[[], object]) -> Seconds:
    """The seconds of a call."""
    begun = now()
    call()
    return since(begun)
