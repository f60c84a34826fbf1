"""The figures of a study: pictures of its runs, each drawn by a command of genbench.

They lie in a folder named after the page, beside it, and the page links them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import InterruptedRunError
from genbench.store import Store
from genbench.store.records import Run, Status
from genbench.study.children import Ended, Task, carry_out
from genbench.study.commands import log_of
from genbench.study.existing_runs import ExistingRuns
from genbench.study.file import FigureEntry
from genbench.study.outcome import Outcome, Places
from genbench.study.plan import Cell, Entry, Plan
from genbench.study.work import book_of, cells


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One picture of a figure: ``path`` as the page links it, from the page's own folder."""

    caption: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the page, with the pictures of it that are there."""

    title: str
    about: str
    command: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """One picture that a study asks for, and the runs that it is of."""

    number: int
    entry: FigureEntry
    caption: str
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of its file."""
        words = re.sub(r"[^\w.+-]+", "-", self.caption).strip("-").lower()
        return f"figure-{self.number}-{words}{self.entry.suffix}"


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
    """Draw all figures of a page anew, ``jobs`` at a time; what can't be drawn is a remark.

    Of each row and data set it is the run of the first seed. Raises InterruptedRunError on a stop.
    """
    folder = folder_of(page)
    drawings = list(_drawings(plan, places))
    tasks = [_task(drawing, places, folder) for drawing in drawings]
    if not tasks:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in {drawing.name for drawing in drawings}:
        (folder / name).unlink(missing_ok=True)  # what can't be drawn now must not seem current
    say(f"{len(tasks)} pictures")

    def ended(end: Ended) -> list[Task]:
        if end.code and not should_stop():
            outcome.remark(f"{end.task.title}: {end.reason}")
            say(f"{end.task.title}: {end.reason}")
        return []

    whole = carry_out(
        tasks, at_once=jobs, threads=plan.study.threads, should_stop=should_stop, ended=ended
    )
    if not whole:
        raise InterruptedRunError("interrupted while pictures were drawn; all runs are stored")


def figures(plan: Plan, places: Places, page: Path) -> tuple[Figure, ...]:
    """The figures of a page with those of their pictures that are there."""
    folder = folder_of(page)
    drawings = list(_drawings(plan, places))
    found = []
    for number, entry in enumerate(plan.study.figures, 1):
        pictures = tuple(
            Shown(caption=drawing.caption, path=Path(folder.name) / drawing.name)
            for drawing in drawings
            if drawing.number == number and (folder / drawing.name).exists()
        )
        runs = "RUN... --together" if entry.together else "RUN"
        command = " ".join(["genbench", entry.command, runs, *entry.flags])
        found.append(
            Figure(title=entry.title, about=entry.about, command=command, pictures=pictures)
        )
    return tuple(found)


def folder_of(page: Path) -> Path:
    """Where the pictures of a page lie."""
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
    """The finished runs of the first seed, by the titles of their entries."""
    existing, found = ExistingRuns(store, plan), {}
    for cell in cells(plan, book_of(plan, places).read()):
        run = existing.run(cell) if cell.seed == plan.seeds[0] else None
        if run is not None and run.status is Status.FINISHED:
            found[_title(cell)] = run
    return found


def _title(cell: Cell) -> str:
    return cell.entry.title


def _task(drawing: _Drawing, places: Places, folder: Path) -> Task:
    title = f"figure {drawing.number}, {drawing.caption}"
    of_data = places.flags if drawing.entry.needs_weights else ("--store", places.store)
    arguments = [
        drawing.entry.command,
        *(run.id for run in drawing.runs),
        *drawing.entry.flags,
        *(("--together",) if drawing.entry.together else ()),
        *("--out", str(folder / drawing.name)),
        *of_data,
    ]
    return Task(title=title, arguments=tuple(arguments), log=log_of(places, title))
