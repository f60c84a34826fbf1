"""``genbench tune``: search for the settings of a model, and confirm the best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completing, options
from genbench.cli.output import Format, print_json
from genbench.cli.session import SESSION, say
from genbench.cli.tuning_results import in_words, print_plan, print_result, write_files
from genbench.errors import UsageError
from genbench.formatting import counted

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.tunings import TuningRecord
    from genbench.study import Places
    from genbench.tuning.history import History
    from genbench.tuning.plan import Planner
    from genbench.tuning.question import SearchQuestion
    from genbench.tuning.work import Effort

FIELDS = (
    *("seed", "batch_size", "device", "precision", "compile", "capture", "threads", "accumulate"),
    *("clip_norm", "ema", "epoch_images", "samples", "repeats", "log_every", "watch"),
)
"""The fields of a run that all trials share; their seed is that of the search."""


@options.run_options(*FIELDS)
def tune(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Name of a model; see: genbench models.", autocompletion=completing.models
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Name of a data set; see: genbench datasets.", autocompletion=completing.datasets
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Range (lr=1e-5..1e-2), choices (n_critic=1,5) or value of a setting; repeatable.",
            autocompletion=completing.settings,
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Published space: lucic2018 (default: around the defaults).")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Metric to improve, or seconds; two of them give a Pareto front."),
    ] = None,
    search: Annotated[
        str, typer.Option(help="How to search: tpe, random, grid, gp or nsga-ii.")
    ] = "tpe",
    pruner: Annotated[
        str, typer.Option(help="Stop bad trials early: none, asha, median or hyperband.")
    ] = "none",
    trials: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Number of trials (default: 20).")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(help="Length of a trial, seconds=60 or epochs=20 (default: the model's)."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time of all runs, such as 2h, after which no new trial starts."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=1_024, help="Number of runs at a time.")] = 1,
    top: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="Best trials to show (default: 3).")
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000, help="Number of fresh seeds that each of the best is trained with."
        ),
    ] = None,
    against_defaults: Annotated[
        bool,
        typer.Option("--against-defaults", help="Train the defaults too with the fresh seeds."),
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the tuning, and of its runs.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Continue the tuning with this name.")
    ] = None,
    preset: options.PresetOption = None,
    sampler: options.SamplersOption = None,
    metric: options.MetricsOption = None,
    config: options.ConfigOption = None,
    export_optuna: Annotated[
        Path | None, typer.Option(help="SQLite file to write for optuna-dashboard.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder to write pictures of the search to.")
    ] = None,
    enqueue: options.EnqueueOption = False,
    priority: options.PriorityOption = 0,
    table_only: Annotated[
        bool,
        typer.Option("--table-only", help="Print the best of the existing trials; run nothing."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the space and the first trials; run nothing.")
    ] = False,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    format: options.FormatOption = Format.TABLE,
    as_json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Search for the best settings of a model; the same command continues a stopped search."""
    from genbench.store import Store
    from genbench.tuning.history import read_history
    from genbench.tuning.plan import SearchOptions, begin
    from genbench.tuning.work import Effort, enqueue_tuning

    url = SESSION.store_url(store)
    planner = _planner(data_dir, offline, url)
    shared = {**fields, "preset": preset, "sampler": sampler, "metric": metric}
    shared["config"] = None if config is None else str(config.resolve())
    kept = {key: value for key, value in shared.items() if value is not None and key != "seed"}
    asked: dict[str, Any] = {"trials": trials, "top": top, "confirm": confirm}
    if against_defaults:
        asked["defaults"] = True
    if budget is not None:
        from genbench.tuning.plan import seconds_in

        asked["budget_s"] = seconds_in(budget, "--budget")
    if priority and not enqueue:
        raise UsageError("--priority is for tasks in the queue; add --enqueue")
    if table_only and resume is None:
        raise UsageError("--table-only shows a stored tuning; name it with --resume NAME")
    if resume is not None:
        given = [model, dataset, sets, space, objective, limit, name, *kept.values()]
        if any(one is not None for one in given):
            raise UsageError("--resume takes the question from the store; leave out the rest of it")
        question, effort = _stored(url, resume, _given(asked))
    else:
        if model is None or dataset is None:
            raise UsageError("name a model and a data set, or --resume NAME")
        chosen = SearchOptions(
            model=model,
            dataset=dataset,
            sets=sets or (),
            space=space,
            search=search,
            pruner=pruner,
            objectives=objective or (),
            limit=limit,
            seed=fields["seed"] or 0,
            options=kept,
        )
        question, effort = planner.question(chosen), Effort(**_given(asked))
    if effort.defaults and not (effort.confirm and question.first):
        raise UsageError(
            "--against-defaults trains the defaults with fresh seeds; "
            + ("add --confirm 5" if question.first else "widen the space so that it holds them")
        )
    if dry_run:
        print_plan(question, effort, as_json=as_json)
        return
    with Store.open(url, mode="create") as opened:
        record = begin(opened, question, effort, name if resume is None else resume)
        if enqueue:
            count = enqueue_tuning(opened, record, question, effort, priority=priority)
            _tell_enqueued(record, count, as_json=as_json)
            return
        if table_only:
            history = read_history(opened, record, question)
        else:
            places = _places(url, record, data_dir, offline)
            history = _search(opened, record, question, effort, places, planner, jobs)
        write_files(record, question, history, export_optuna, pictures)
        print_result(record, question, effort, history, format, as_json=as_json)


def _stored(url: str, name: str, changes: Mapping[str, Any]) -> tuple[SearchQuestion, Effort]:
    """What a stored tuning asks, and how long to search with some changes of that."""
    from genbench.store import Store
    from genbench.tuning.plan import find
    from genbench.tuning.question import SearchQuestion
    from genbench.tuning.work import Effort

    with Store.open(url) as opened:
        body = find(opened, name).body
    return SearchQuestion.from_json(body["question"]), Effort(**{**body["effort"], **changes})


def trial(
    tuning: Annotated[str, typer.Argument(metavar="TUNING", help="Name of a stored tuning.")],
    number: Annotated[
        int | None, typer.Argument(min=0, help="Number of the trial, from 0 on.")
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="RANK", help="Number of the repeat of the best trials, from 0 on."
        ),
    ] = None,
    device: options.DeviceOption = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
) -> None:
    """Propose and train one trial of a tuning, as workers do for those that are enqueued.

    Its settings are proposed now, from the results of all trials that are in the store.
    """
    from genbench.cli.stopping import StopSignals
    from genbench.store import Store
    from genbench.tuning.plan import find
    from genbench.tuning.question import SearchQuestion
    from genbench.tuning.trials import Trials
    from genbench.tuning.work import Effort, carry_out_task

    if (number is None) == (confirm is None):
        raise UsageError("give the number of a trial, or --confirm RANK")
    url = SESSION.store_url(store)
    with Store.open(url) as opened, StopSignals(quiet=True) as signals:
        record = find(opened, tuning)
        question = SearchQuestion.from_json(record.body["question"])
        effort = Effort(**record.body["effort"])
        trials = Trials(
            tuning=record,
            question=question,
            store=opened,
            places=_places(url, record, data_dir, offline, device),
            specs=_planner(data_dir, offline, url).specs(question),
            planned=effort.trials,
            threads=question.options.get("threads", 1),
            should_stop=signals,
            say=say,
        )
        made = carry_out_task(trials, effort, number=number, rank=confirm)
        state = made and trials.history().states[made.number]
    print_json({"tuning": tuning, "state": state, **({"run": made.run} if made else {})})


def _search(
    store: Store,
    record: TuningRecord,
    question: SearchQuestion,
    effort: Effort,
    places: Places,
    planner: Planner,
    jobs: int,
) -> History:
    from genbench.cli.stopping import StopSignals
    from genbench.tuning.trials import Trials
    from genbench.tuning.work import carry_on

    _check_not_enqueued(store, record)
    say(f"tuning {record.name}: {question.model} on {question.dataset}, {in_words(question)}")
    if jobs > 1:
        say("note: with several jobs a search can't be repeated: which trial ends first decides")
    with StopSignals(quiet=SESSION.verbosity < 0) as signals:
        trials = Trials(
            tuning=record,
            question=question,
            store=store,
            places=places,
            specs=planner.specs(question),
            planned=effort.trials,
            jobs=jobs,
            threads=question.options.get("threads", 1),
            should_stop=signals,
            say=say,
        )
        return carry_on(trials, effort)


def _tell_enqueued(record: TuningRecord, count: int, *, as_json: bool) -> None:
    from genbench.tuning.commands import tag

    if as_json:
        print_json({"tuning": record.name, "batch": tag(record.name), "enqueued": count})
    say(
        f"{counted(count, 'task')} of {tag(record.name)} enqueued; to carry them out: genbench "
        f"work; to see the best: genbench tune --resume {record.name} --table-only"
    )


def _check_not_enqueued(store: Store, record: TuningRecord) -> None:
    """Raise UsageError if workers are to carry out the trials of a tuning."""
    from genbench.store.tasks import OPEN, select_tasks
    from genbench.tuning.commands import tag

    left = len(select_tasks(store, batch=tag(record.name), states=OPEN))
    if left:
        raise UsageError(
            f"{counted(left, 'task')} of this tuning {'is' if left == 1 else 'are'} in the queue, "
            "for workers; leave the trials to them, or cancel the tasks first",
            hint=f"genbench work --until-empty, or genbench queue cancel {tag(record.name)}",
        )


def _planner(data_dir: Path | None, offline: bool, url: str) -> Planner:
    import os

    from genbench.runner import data_access, with_runs
    from genbench.tuning.plan import Planner

    access = with_runs(data_access(data_dir, os.environ, offline=offline), SESSION.registry, url)
    return Planner(registry=SESSION.registry, access=access, environ=os.environ, cwd=Path.cwd())


def _places(
    url: str,
    record: TuningRecord,
    data_dir: Path | None,
    offline: bool,
    device: str | None = None,
) -> Places:
    """The places of all runs; the folder of the logs is beside those of the runs."""
    from genbench.store.address import Address
    from genbench.study import Places

    return Places(
        store=url,
        folder=Address.parse(url).runs_folder / f"tune-{record.name}",
        data_dir=data_dir,
        offline=offline,
        device=device,
    )


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if value is not None}
