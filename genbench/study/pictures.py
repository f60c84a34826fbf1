"""The figures of a study: pictures of its runs, each drawn by a genbench command.

The files are in a folder next to the page, with the name of the page, and the page links to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import InterruptedRunError
from genbench.formatting import counted
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.study.existing_runs import ExistingRuns
from genbench.study.file import FigureEntry
from genbench.study.grid import planned_runs, read_paces
from genbench.study.outcome import Outcome, Places
from genbench.study.plan import Entry, Plan
from genbench.work import Command, Ended, carry_out, log_of


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the page: the pictures that exist, by their captions.

    Their paths are relative to the folder of the page.
    """

    entry: FigureEntry
    pictures: Mapping[str, Path]

    @property
    def command(self) -> str:
        """The command that draws one of its pictures."""
        run = "RUN..." if self.entry.together else "RUN"
        return " ".join(["genbench", self.entry.command, run, *self.entry.flags])


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """One picture that a study asks for, and the runs that it shows."""

    number: int
    entry: FigureEntry
    caption: str
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of its file."""
        words = re.sub(r"[^\w.+-]+", "-", self.caption).strip("-").lower()
        suffix = ".svg" if self.entry.command == "curves" else ".png"
        return f"figure-{self.number}-{words}{suffix}"


def draw(
    plan: Plan,
    places: Places,
    page: Path,
    outcome: Outcome,
    *,
    jobs: int,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Draw all figures of a page again, ``jobs`` at a time; a failure becomes a remark.

    A row is shown by the run of its first seed. Raises InterruptedRunError on a stop.
    """
    folder = folder_of(page)
    drawings = list(_drawings(plan, places))
    commands = [_command(drawing, plan, places, folder) for drawing in drawings]
    if not commands:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in {drawing.name for drawing in drawings}:
        (folder / name).unlink(missing_ok=True)  # no old picture if drawing fails
    say(f"drawing {counted(len(commands), 'picture')}")

    def ended(end: Ended) -> None:
        if end.code and not should_stop():
            outcome.remark(f"{end.command.title}: {end.reason}")
            say(f"{end.command.title}: {end.reason}")

    if not carry_out(commands, at_once=jobs, should_stop=should_stop, ended=ended):
        raise InterruptedRunError("interrupted while pictures were drawn; all runs are stored")


def figures(plan: Plan, places: Places, page: Path) -> tuple[Figure, ...]:
    """The figures of a page, with the pictures that exist."""
    folder = folder_of(page)
    drawings = list(_drawings(plan, places))
    found = []
    for number, entry in enumerate(plan.study.figures, 1):
        pictures = {
            drawing.caption: Path(folder.name) / drawing.name
            for drawing in drawings
            if drawing.number == number and (folder / drawing.name).exists()
        }
        found.append(Figure(entry=entry, pictures=pictures))
    return tuple(found)


def folder_of(page: Path) -> Path:
    """The folder with the pictures of a page."""
    return page.with_suffix("")


def _drawings(plan: Plan, places: Places) -> Iterator[_Drawing]:
    if not plan.study.figures:
        return
    with Store.open(places.store, mode="read") as store:
        runs = _runs(plan, places, store)
        for number, figure in enumerate(plan.study.figures, 1):
            entries = [entry for entry in plan.entries if figure.shows(entry.row.title)]
            there = [(entry, runs[entry.title]) for entry in entries if entry.title in runs]
            for caption, group in _groups(figure, there):
                yield _Drawing(number=number, entry=figure, caption=caption, runs=group)


def _groups(
    figure: FigureEntry, there: Sequence[tuple[Entry, Run]]
) -> Iterator[tuple[str, tuple[Run, ...]]]:
    """A picture for each run, or one for all rows of a data set together."""
    if not figure.together:
        yield from ((entry.title, (run,)) for entry, run in there)
        return
    for dataset in dict.fromkeys(entry.dataset for entry, _ in there):
        yield dataset, tuple(run for entry, run in there if entry.dataset == dataset)


def _runs(plan: Plan, places: Places, store: Store) -> dict[str, Run]:
    """The finished runs of the first seed, by the title of their entry."""
    existing, found = ExistingRuns(store, plan), {}
    for planned in planned_runs(plan, read_paces(plan, places, store)):
        run = existing.run(planned) if planned.seed == plan.seeds[0] else None
        if run is not None and run.status is Status.FINISHED:
            found[planned.entry.title] = run
    return found


def _command(drawing: _Drawing, plan: Plan, places: Places, folder: Path) -> Command:
    title = f"figure {drawing.number}, {drawing.caption}"
    entry, runs = drawing.entry, [run.id for run in drawing.runs]
    # Curves and stored samples need the store alone; the others load the model.
    needs_model = entry.command not in ("curves", "animate")
    flags = places.flags if needs_model else ()
    out = ("--out", str(folder / drawing.name))
    return Command(
        title=title,
        arguments=(entry.command, *runs, *entry.flags, *out, *flags),
        environ=places.environ,
        log=log_of(places.folder.parent, plan.tag, title),
        threads=plan.study.threads,
    )
