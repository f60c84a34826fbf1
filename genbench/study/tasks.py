"""The genbench commands that a study runs."""

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
from genbench.study.plan import Entry, Plan, PlannedRun


def run_task(plan: Plan, planned: PlannedRun, places: Places) -> Task:
    """``genbench run`` for a planned run, tagged with its study and row."""
    first = plan.study.samplers[0]
    sets = (*planned.entry.sets, *for_sampler(first.name, first.settings))
    arguments = [
        *_training(
            plan.study, planned.entry, planned.epochs or planned.entry.spec.epochs, planned.seed
        ),
        *_each("--set", sets),
        *_each("--sampler", [first.name]),
        *_each("--metric", plan.study.metrics or ()),
        *_scoring(plan.study),
        *_each("--tag", (plan.tag, f"row:{planned.entry.row.title}")),
        *places.flags,
        "--json",
    ]
    return Task(title=planned.title, arguments=tuple(arguments), log=log_of(places, planned.title))


def resume_task(run_id: str, planned: PlannedRun, places: Places) -> Task:
    """``genbench resume`` for a planned run that was interrupted or failed."""
    arguments = ("resume", run_id, *places.flags, "--json")
    return Task(title=planned.title, arguments=arguments, log=log_of(places, planned.title))


def evaluate_task(run_id: str, planned: PlannedRun, lacking: Missing, places: Places) -> Task:
    """``genbench evaluate`` for a finished run with one sampler and the metrics that it lacks."""
    sampler = lacking.sampling.part
    of_metrics = [
        text
        for text in planned.entry.sets
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
    title = f"{planned.title}, by {lacking.sampling.label}"
    return Task(title=title, arguments=tuple(arguments), log=log_of(places, title))


def pilot_task(
    plan: Plan, entry: Entry, folder: Path, places: Places, *, to_the_end: bool = False
) -> Task:
    """A run without scores in a temporary store, stopped as soon as its pace is known.

    With ``to_the_end``, its own stage has one epoch, and the later stages run to their end.
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
    """The log file of a command, named by its title."""
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
