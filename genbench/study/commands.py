"""The commands of genbench that a study consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from genbench.study.assignments import for_sampler
from genbench.study.children import Task
from genbench.study.existing_runs import Missing
from genbench.study.file import StudyFile
from genbench.study.outcome import Places
from genbench.study.pace import PILOT_EPOCHS, read_pilot
from genbench.study.plan import Cell, Entry, Plan


def run_task(plan: Plan, cell: Cell, places: Places) -> Task:
    """``genbench run`` of a cell, tagged with its study and row."""
    first = plan.study.samplers[0]
    sets = (*cell.entry.sets, *for_sampler(first.name, first.settings))
    arguments = [
        *_training(plan.study, cell.entry, cell.epochs or cell.entry.spec.epochs, cell.seed),
        *_each("--set", sets),
        *_each("--sampler", [first.name]),
        *_each("--metric", plan.study.metrics or ()),
        *_scoring(plan.study),
        *_each("--tag", (plan.tag, f"row:{cell.entry.row.title}")),
        *places.flags,
        "--json",
    ]
    return Task(title=cell.title, arguments=tuple(arguments), log=log_of(places, cell.title))


def resume_task(run_id: str, cell: Cell, places: Places) -> Task:
    """``genbench resume`` of a cell's run."""
    arguments = ("resume", run_id, *places.flags, "--json")
    return Task(title=cell.title, arguments=arguments, log=log_of(places, cell.title))


def evaluate_task(run_id: str, cell: Cell, lacking: Missing, places: Places) -> Task:
    """``genbench evaluate`` of a finished run by one sampler, for the metrics that it lacks."""
    sampler = lacking.sampling.part
    of_metrics = [
        text
        for text in cell.entry.sets
        if text.startswith(tuple(f"metric.{name}." for name in lacking.metrics))
    ]
    arguments = [
        "evaluate",
        run_id,
        *_each("--sampler", [sampler.name]),
        *_each("--set", (*for_sampler(sampler.name, sampler.settings), *of_metrics)),
        *_each("--metric", lacking.metrics),
        *places.flags,
        "--json",
    ]
    title = f"{cell.title}, by {lacking.sampling.label}"
    return Task(title=title, arguments=tuple(arguments), log=log_of(places, title))


def pilot_task(
    plan: Plan, entry: Entry, folder: Path, places: Places, *, to_the_end: bool = False
) -> Task:
    """A run without scores in a store of its own, stopped once its pace is known.

    ``to_the_end``: of one epoch, for the stages that come after it.
    """
    store = folder / "runs.db"
    seconds = entry.seconds or 0.0
    training = [text for text in entry.sets if not text.startswith(("metric.", "sampler."))]
    arguments = [
        *_training(plan.study, entry, 1 if to_the_end else PILOT_EPOCHS, plan.seeds[0]),
        *_each("--set", (*training, "run.metrics=[]", "run.samplers=[]")),
        *("--store", str(store)),
        *places.data_flags,
    ]

    def enough() -> bool:
        reading = read_pilot(store)
        return reading is not None and reading.is_enough(seconds)

    title = f"{entry.title}, pilot{' to the end' if to_the_end else ''}"
    return Task(
        title=title,
        arguments=tuple(arguments),
        log=log_of(places, title),
        enough=None if to_the_end else enough,
    )


def log_of(places: Places, title: str) -> Path:
    """The log of a run: its title as the name of a file."""
    name = re.sub(r"[^\w.+-]+", "-", title).strip("-").lower()
    return places.folder / "logs" / f"{name}.log"


def _training(study: StudyFile, entry: Entry, epochs: int, seed: int) -> list[str]:
    row = entry.row
    batch_size = row.batch_size or study.batch_size
    return [
        *("run", row.model, entry.dataset, "--epochs", str(epochs), "--seed", str(seed)),
        *(("--batch-size", str(batch_size)) if batch_size else ()),
        *(("--epoch-images", str(study.epoch_images)) if study.epoch_images else ()),
        *(("--preset", row.preset) if row.preset else ()),
    ]


def _scoring(study: StudyFile) -> list[str]:
    return [
        *(("--samples", str(study.samples)) if study.samples else ()),
        *(("--repeats", str(study.repeats)) if study.repeats else ()),
    ]


def _each(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]
