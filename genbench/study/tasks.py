"""The genbench commands that a study runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genbench.formatting import spans
from genbench.study.assignments import for_sampler, words
from genbench.study.children import Task
from genbench.study.existing_runs import Missing
from genbench.study.file import StudyFile
from genbench.study.outcome import Places
from genbench.study.pace import PILOT_EPOCHS, read_pilot
from genbench.study.plan import Entry, Plan, PlannedRun


def run_task(plan: Plan, planned: PlannedRun, places: Places) -> Task:
    """``genbench run`` for a planned run, tagged with its study and row."""
    return _run_task(plan, planned, places, planned.title, {"seed": planned.seed})


def seeds_task(plan: Plan, group: Sequence[PlannedRun], places: Places) -> Task:
    """``genbench run --seeds`` for planned runs that differ in their seed only."""
    seeds = [planned.seed for planned in group]
    options = {"seeds": ",".join(map(str, seeds)), "together-if-faster": True}
    title = f"{group[0].entry.title}, seeds {spans(seeds)}"
    return _run_task(plan, group[0], places, title, options)


def _run_task(
    plan: Plan, planned: PlannedRun, places: Places, title: str, seeds: Mapping[str, Any]
) -> Task:
    study, entry = plan.study, planned.entry
    first = study.samplers[0] if entry.spec.samplers else None
    options = {
        "set": (*entry.sets, *(for_sampler(first.name, first.settings) if first else ())),
        "sampler": first and first.name,
        "metric": study.metrics,
        "samples": study.samples,
        "repeats": study.repeats,
        "tag": (plan.tag, f"row:{entry.row.title}"),
    }
    epochs = planned.epochs or entry.spec.epochs
    training = _training(study, entry, planned.dataset, epochs, seeds)
    return task_of(title, places, *training, *words(options), *places.flags, "--json")


def resume_task(run_id: str, planned: PlannedRun, places: Places) -> Task:
    """``genbench resume`` for a planned run that was interrupted or failed."""
    return task_of(planned.title, places, "resume", run_id, *places.flags, "--json")


def evaluate_task(run_id: str, planned: PlannedRun, lacking: Missing, places: Places) -> Task:
    """``genbench evaluate`` for a finished run with one sampler and the metrics that it lacks."""
    sampler = lacking.sampling.part
    of_metrics = tuple(f"metric.{name}." for name in lacking.metrics)
    own = [text for text in planned.entry.sets if text.startswith(of_metrics)]
    options = {
        "sampler": sampler.name or None,
        "set": (*for_sampler(sampler.name, sampler.settings), *own),
        "metric": lacking.metrics,
    }
    title = f"{planned.title}, by {lacking.sampling.label}"
    return task_of(title, places, "evaluate", run_id, *words(options), *places.flags, "--json")


def pilot_task(
    plan: Plan, entry: Entry, folder: Path, places: Places, *, to_the_end: bool = False
) -> Task:
    """A run without scores in a temporary store, stopped as soon as its pace is known.

    With ``to_the_end``, its own stage has one epoch, and the later stages run to their end.
    """
    store = folder / "runs.db"
    seconds = entry.seconds or 0.0
    sets = [text for text in entry.sets if not text.startswith(("metric.", "sampler."))]
    options = {"set": (*sets, "run.metrics=[]", "run.samplers=[]"), "store": store}
    epochs = 1 if to_the_end else PILOT_EPOCHS
    training = _training(plan.study, entry, entry.dataset, epochs, {"seed": plan.seeds[0]})

    def enough() -> bool:
        reading = read_pilot(store)
        return reading is not None and reading.is_enough(seconds)

    title = f"{entry.title}, pilot{' to the end' if to_the_end else ''}"
    task = task_of(title, places, *training, *words(options), *places.data_flags)
    return task if to_the_end else replace(task, enough=enough)


def task_of(title: str, places: Places, *arguments: str) -> Task:
    """A genbench command; its log file is named by its title."""
    name = re.sub(r"[^\w.+-]+", "-", title).strip("-").lower()
    return Task(title=title, arguments=arguments, log=places.folder / "logs" / f"{name}.log")


def _training(
    study: StudyFile, entry: Entry, dataset: str, epochs: int, seeds: Mapping[str, Any]
) -> tuple[str, ...]:
    row = entry.row
    options = {
        "epochs": epochs,
        **seeds,
        "batch-size": row.batch_size or study.batch_size,
        "epoch-images": study.epoch_images,
        "preset": row.preset,
    }
    return ("run", row.model, dataset, *words(options))
