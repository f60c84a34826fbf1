"""``genbench tune``: search for the settings of a model, and confirm the best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completing, options
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError
from genbench.formatting import counted, duration, number

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.tunings import TuningRecord
    from genbench.study import Places
    from genbench.tuning.history import History
    from genbench.tuning.plan import Planner
    from genbench.tuning.question import Question
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
        typer.Option(min=0, max=1_000, help="Fresh seeds to train each of the best with."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the tuning, and of its runs.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Continue the tuning with this name.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Published settings of the model.", autocompletion=completing.presets),
    ] = None,
    sampler: options.SamplersOption = None,
    metric: options.MetricsOption = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    export_optuna: Annotated[
        Path | None, typer.Option(help="SQLite file to write for optuna-dashboard.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder to write pictures of the search to.")
    ] = None,
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
    from genbench.tuning.plan import Wish, begin, find
    from genbench.tuning.question import Question
    from genbench.tuning.work import Effort

    url = SESSION.store_url(store)
    planner = _planner(data_dir, offline, url)
    shared = {**fields, "preset": preset, "sampler": sampler, "metric": metric}
    shared["config"] = None if config is None else str(config.resolve())
    kept = {key: value for key, value in shared.items() if value is not None and key != "seed"}
    asked: dict[str, Any] = {"trials": trials, "top": top, "confirm": confirm}
    if budget is not None:
        from genbench.tuning.plan import seconds_in

        asked["budget_s"] = seconds_in(budget, "--budget")
    if resume is not None:
        given = [model, dataset, sets, space, objective, limit, name, *kept.values()]
        if any(one is not None for one in given):
            raise UsageError("--resume takes the question from the store; leave out the rest of it")
        with Store.open(url) as opened:
            record = find(opened, resume)
        question = Question.from_json(record.body["question"])
        effort = Effort(**{**record.body["effort"], **_given(asked)})
    else:
        if model is None or dataset is None:
            raise UsageError("name a model and a data set, or --resume NAME")
        wish = Wish(
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
        question, effort = planner.question(wish), Effort(**_given(asked))
    if dry_run:
        _print_plan(question, effort, as_json=as_json)
        return
    with Store.open(url, mode="create") as opened:
        record = begin(opened, question, effort, name if resume is None else resume)
        places = _places(url, record, data_dir, offline)
        history = _search(record, question, effort, opened, places, planner, jobs)
        _write_files(record, question, history, export_optuna, pictures)
        _print_result(record, question, effort, history, format, as_json=as_json)


def _search(
    record: TuningRecord,
    question: Question,
    effort: Effort,
    store: Store,
    places: Places,
    planner: Planner,
    jobs: int,
) -> History:
    from genbench.cli.stopping import StopSignals
    from genbench.store import tunings
    from genbench.tuning.work import carry_on

    body = {"question": question.to_json(), "effort": vars(effort)}
    if record.body != body:
        tunings.update(store, record.number, body=body)
    say(f"tuning {record.name}: {question.model} on {question.dataset}, {_in_words(question)}")
    if jobs > 1:
        say("note: a search with several jobs isn't repeatable: proposals depend on who ends first")
    with StopSignals(quiet=SESSION.verbosity < 0) as signals:
        return carry_on(
            record,
            question,
            effort,
            store,
            places,
            planner.specs(question),
            jobs=jobs,
            threads=question.options.get("threads", 1),
            should_stop=signals,
            say=say,
        )


def _in_words(question: Question) -> str:
    length = "of the model's own length"
    if question.limit is not None:
        length = f"of {question.limit[1]:g} {question.limit[0]}"
    what = " and ".join(question.objectives)
    over = counted(len(question.space), "setting")
    return f"{question.sampler} over {over}, {what}, trials {length}"


def _planner(data_dir: Path | None, offline: bool, url: str) -> Planner:
    import os

    from genbench.runner import data_access, with_runs
    from genbench.tuning.plan import Planner

    access = with_runs(data_access(data_dir, os.environ, offline=offline), SESSION.registry, url)
    return Planner(registry=SESSION.registry, access=access, environ=os.environ, cwd=Path.cwd())


def _places(url: str, record: TuningRecord, data_dir: Path | None, offline: bool) -> Places:
    """The places of all runs; the folder of the logs is beside those of the runs."""
    from genbench.store.address import Address
    from genbench.study import Places

    return Places(
        store=url,
        folder=Address.parse(url).runs_folder / f"tune-{record.name}",
        data_dir=data_dir,
        offline=offline,
    )


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if value is not None}


# --- what is shown


def _print_plan(question: Question, effort: Effort, *, as_json: bool) -> None:
    from genbench.tuning.plan import first_settings

    if as_json:
        first = [dict(one) for one in first_settings(question, 1)]
        print_json({"question": question.to_json(), "effort": vars(effort), "first": first})
        return
    print(f"{question.model} on {question.dataset}: {_in_words(question)}")
    for knob in question.space:
        paths = "" if knob.paths == (knob.name,) else f" ({', '.join(knob.paths)})"
        print(f"  {knob.name}{paths}: {knob.domain}")
    for text in question.fixed:
        print(f"  {text}, fixed")
    print(f"  scored on the validation split: {', '.join(question.objectives)}")
    runs = f"{counted(effort.trials, 'trial')}"
    if effort.confirm:
        runs += f", then {effort.top * effort.confirm} runs that confirm the best {effort.top}"
    within = f", within {duration(effort.budget_s)}" if effort.budget_s else ""
    seconds = question.limit[1] if question.limit and question.limit[0] == "seconds" else None
    cost = f", {duration(seconds * effort.trials)} of training in all trials" if seconds else ""
    print(f"cost: {runs}{within}{cost}")


def _print_result(
    record: TuningRecord,
    question: Question,
    effort: Effort,
    history: History,
    format: Format,
    *,
    as_json: bool,
) -> None:
    from genbench.tuning.commands import next_command
    from genbench.tuning.history import shown
    from genbench.tuning.result import as_dict, counts, winners

    found = winners(history.trials, effort.top, history.runs, history.confirmed)
    if as_json:
        print_json(
            {
                "tuning": record.name,
                "trials": counts(history.trials),
                "objectives": list(question.objectives),
                "best": [as_dict(one, history.direction) for one in found],
                "spent_s": history.spent_s,
            }
        )
        return
    if not found:
        say(f"no trial has a score: {_counted(counts(history.trials))}")
        return
    n = sum(trial.is_good for trial in history.trials)
    names = list(question.objectives)
    directions = [history.direction, "min"]
    headings = ["trial", "run", *(f"reported {name}" for name in names)]
    headings += [f"confirmed {names[0]}", "95 % interval"] if effort.confirm else []
    headings += [knob.name for knob in question.space]
    rows = []
    for one in found:
        pairs = zip(one.trial.values, directions, strict=False)
        row = [one.trial.number, one.run, *(number(shown(v, way)) for v, way in pairs)]
        if effort.confirm:
            mean, ends = as_dict(one, history.direction), one.interval
            text = f"{number(mean['confirmed_mean'])} (n = {len(one.confirmed)})"
            low_high = mean["confirmed_interval"]
            row += [text, " to ".join(map(number, low_high)) if ends else None]
        rows.append([*row, *(_brief(one.trial.settings[k.name]) for k in question.space)])
    print_table(headings, rows, format=format, title=f"tuning {record.name}")
    say(
        f"note: reported is the best of {counted(n, 'trial')} on the validation split, which is "
        "better than the truth; confirmed is the mean of fresh seeds on it. The two are never "
        "ranked against each other"
        if effort.confirm
        else f"note: these are the best of {counted(n, 'trial')} on the validation split, so they "
        "look better than they are; to measure them again: --confirm 5"
    )
    say(f"trials: {_counted(counts(history.trials))}; {duration(history.spent_s)} of all runs")
    own = next(one for one in history.proposals if one.number == found[0].trial.number)
    say(f"next, on the test split: {next_command(question, own)} --seeds 0..4")


def _brief(value: Any) -> str:
    return number(value, 3) if isinstance(value, float) else str(value)


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in found.items())


def _write_files(
    record: TuningRecord,
    question: Question,
    history: History,
    export: Path | None,
    pictures: Path | None,
) -> None:
    if export is not None:
        from genbench.tuning.export import write_optuna

        write_optuna(export, record.name, question, history.trials)
        say(f"written: {export}")
    if pictures is not None:
        from genbench.tuning.pictures import draw

        for path in draw(pictures, question, history):
            say(f"written: {path}")
