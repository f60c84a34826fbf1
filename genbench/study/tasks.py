"""The tasks of a study: genbench commands for the queue, with what they need to be done before.

The identity of a task is what it does, so that a study that is enqueued twice has each task once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.formatting import spans
from genbench.spec import content_hash
from genbench.store.tasks import NewTask
from genbench.study.assignments import for_sampler, words
from genbench.study.existing_runs import Missing
from genbench.study.plan import Entry, Plan, PlannedRun, Sampling

THE_RUN, THE_EPOCHS = "{run}", "{epochs}"
"""Words of a command that the answer of an earlier task replaces."""


def run_task(plan: Plan, planned: PlannedRun, *, run: str | None = None) -> NewTask:
    """``genbench run`` for a planned run; ``run`` is an unfinished one that it continues."""
    return _run_task(plan, planned, planned.title, {"seed": planned.seed}, run=run)


def seeds_task(plan: Plan, group: Sequence[PlannedRun]) -> NewTask:
    """``genbench run --seeds`` for planned runs that differ in their seed only."""
    seeds = [planned.seed for planned in group]
    options = {"seeds": ",".join(map(str, seeds)), "together-if-faster": True}
    return _run_task(plan, group[0], f"{group[0].entry.title}, seeds {spans(seeds)}", options)


def _run_task(
    plan: Plan,
    planned: PlannedRun,
    title: str,
    seeds: Mapping[str, Any],
    *,
    run: str | None = None,
) -> NewTask:
    study, entry = plan.study, planned.entry
    first = study.samplers[0] if entry.spec.samplers else None
    options = {
        "set": (*entry.sets, *(for_sampler(first.name, first.settings) if first else ())),
        "sampler": first and first.name,
        "metric": study.metrics,
        "samples": study.samples,
        "repeats": study.repeats,
        "tag": (plan.tag, f"row:{entry.row.title}"),
        "json": True,
    }
    waits = planned.source is not None and planned.source_run is None
    source = THE_RUN if waits else planned.source_run
    dataset = f"latents:{THE_RUN}" if waits else planned.dataset
    epochs = THE_EPOCHS if planned.epochs is None else planned.epochs
    parents = [identity_of(plan, planned.source)] if waits and planned.source else []
    parents += [pace_identity(plan, entry)] if planned.epochs is None else []
    return _task(
        plan,
        identity=identity_of(plan, planned, seeds),
        title=title,
        command=(*_training(plan, entry, dataset, epochs, seeds, source), *words(options)),
        parents=tuple(parents),
        run=run,
    )


def identity_of(plan: Plan, planned: PlannedRun, seeds: Mapping[str, Any] | None = None) -> str:
    """The identity of the task of a planned run, whether or not its epochs are known yet."""
    entry = planned.entry
    length = entry.spec.epochs if entry.seconds is None else f"{entry.seconds:g} s"
    source = None if planned.source is None else identity_of(plan, planned.source)
    which = dict(seeds or {"seed": planned.seed})
    return f"run {content_hash([entry.pace_key, length, which, source, *_machine(plan)])}"


def pace_identity(plan: Plan, entry: Entry) -> str:
    """The identity of the task that measures the pace of a row."""
    return f"pace {content_hash([entry.pace_key, *_machine(plan)])}"


def _machine(plan: Plan) -> tuple[str, int]:
    return _device(plan), plan.study.threads


def evaluate_task(
    plan: Plan,
    planned: PlannedRun,
    sampling: Sampling,
    lacking: Missing | None,
    *,
    run: str | None,
    parent: str | None = None,
    retry: bool = False,
) -> NewTask:
    """``genbench evaluate`` with one sampler, of a run or of the one that a parent will make."""
    sampler, entry = sampling.part, planned.entry
    metrics = lacking.metrics if lacking else tuple(part.name for part in entry.spec.metrics)
    of_metrics = tuple(f"metric.{name}." for name in metrics)
    options = {
        "sampler": sampler.name or None,
        "set": (
            *for_sampler(sampler.name, sampler.settings),
            *(text for text in entry.sets if text.startswith(of_metrics)),
        ),
        "metric": metrics,
        "missing": not retry,
        "json": True,
    }
    scored = (identity_of(plan, planned), sampler.name, dict(sampler.settings))
    return _task(
        plan,
        identity=f"evaluate {content_hash(scored)}",
        title=f"{planned.title}, by {sampling.label}",
        command=("evaluate", run or THE_RUN, *words(options)),
        parents=() if parent is None else (parent,),
    )


def pace_task(plan: Plan, entry: Entry) -> NewTask:
    """``genbench pace``, which measures how many epochs of a row its seconds are."""
    sets = [text for text in entry.sets if not text.startswith(("metric.", "sampler."))]
    training = _training(plan, entry, entry.dataset, None, {"seed": plan.seeds[0]})
    return _task(
        plan,
        identity=pace_identity(plan, entry),
        title=f"{entry.title}, pilot",
        command=("pace", f"{entry.seconds:g}", "--", *training[1:], *words({"set": sets})),
    )


def _task(
    plan: Plan,
    *,
    identity: str,
    title: str,
    command: tuple[str, ...],
    parents: tuple[str, ...] = (),
    run: str | None = None,
) -> NewTask:
    return NewTask(
        batch=plan.tag,
        identity=identity,
        title=title,
        command=command,
        device=_device(plan),
        threads=plan.study.threads,
        parents=parents,
        run=run,
    )


def _device(plan: Plan) -> str:
    return plan.device.partition(":")[0]


def _training(
    plan: Plan,
    entry: Entry,
    dataset: str,
    epochs: int | str | None,
    seeds: Mapping[str, Any],
    source: str | None = None,
) -> tuple[str, ...]:
    row, study = entry.row, plan.study
    if row.compress is not None and source is not None:
        options = {"method": row.method, "epochs": epochs, **seeds, "batch-size": row.batch_size}
        return ("compress", source, *words(options))
    options = {
        "epochs": epochs,
        **seeds,
        "batch-size": row.batch_size or study.batch_size,
        "epoch-images": study.epoch_images,
        "preset": row.preset,
    }
    return ("run", row.model, dataset, *words(options))
