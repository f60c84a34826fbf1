"""``genbench study``: a grid of runs and its tables from one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.destination import file_for, folder_for
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say
from genbench.cli.text_table import Best
from genbench.formatting import counted
from genbench.spec import MOST

if TYPE_CHECKING:
    from genbench.study import Forecast, Launched, Outcome, Places, Plan, Results
    from genbench.study.claims import ClaimResult


def study(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.toml", help="Study file; see: docs/studies.md.")
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_024, help="Number of runs at a time (default: 1, or one on each GPU)."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds that replace the file's, such as 0,1 or 0..7.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW", help="Only this row of the study; repeatable."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="Number of epochs of every row, in place of the file's."
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(min=1e-6, max=100, help="Factor on the length of every stage of every row."),
    ] = 1.0,
    epoch_images: Annotated[
        int | None, typer.Option(min=1, help="Training images per epoch, in place of the file's.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run again what failed before.")] = False,
    enqueue: options.EnqueueOption = False,
    priority: options.PriorityOption = 0,
    launcher: Annotated[
        str | None,
        typer.Option(help="Launcher that starts the --jobs workers, such as slurm or ray."),
    ] = None,
    launcher_set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Setting of the launcher; repeatable."),
    ] = None,
    table_only: Annotated[
        bool,
        typer.Option("--table-only", help="Print the tables of the existing runs; run nothing."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; run nothing.")
    ] = False,
    device: options.DeviceOption = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """Train, score and tabulate a grid of runs; the same command continues a stopped study."""
    from genbench.study import Outcome, folder_of, forecast

    _check_options(enqueue, priority, launcher, launcher_set)
    lengths: dict[str, Any] = {"epochs": epochs, "share": share, "epoch_images": epoch_images}
    plan, places = _plan(file, seeds, only, lengths, device, store, data_dir, offline)
    if out is not None:
        out = file_for(out, (".md",), store=places.store, inputs=[file])
        if plan.study.figures:
            folder_for(folder_of(out), store=places.store)
    if dry_run:
        _print_forecast(plan, forecast(plan, places), jobs or 1, as_json=json)
        if launcher is not None:
            say(_launched(plan, places, jobs or 1, launcher, launcher_set).script())
        return
    if enqueue:
        _enqueue(plan, places, retry, priority, as_json=json)
        return
    launched = None
    if launcher is not None:
        launched = _launched(plan, places, jobs or 1, launcher, launcher_set)
    outcome = Outcome() if table_only else _execute(plan, places, jobs, retry, out, launched)
    _print_results(plan, places, outcome, out, format, as_json=json)
    if outcome.failed:
        failed = counted(outcome.failed, "run")
        say(f"{failed} gave no result; see the remarks (--retry runs them again)")
        raise typer.Exit(1)


def _check_options(
    enqueue: bool, priority: int, launcher: str | None, values: Sequence[str] | None
) -> None:
    """Raise UsageError for options that don't go together."""
    from genbench.errors import UsageError

    if priority and not enqueue:
        raise UsageError("--priority is for tasks in the queue; add --enqueue")
    if values and launcher is None:
        raise UsageError("--launcher-set sets up a launcher; add --launcher NAME")
    if enqueue and launcher is not None:
        raise UsageError(
            "--enqueue runs nothing, and --launcher starts workers that do; leave out one of them"
        )


def _plan(
    file: Path,
    seeds: str | None,
    only: Sequence[str] | None,
    lengths: Mapping[str, Any],
    device: str | None,
    store: str | None,
    data_dir: Path | None,
    offline: bool,
) -> tuple[Plan, Places]:
    import os

    from genbench.runner import data_access
    from genbench.store.address import Address
    from genbench.study import Places, make_plan, read_study

    plan = make_plan(
        file,
        read_study(file),
        SESSION.registry,
        data_access(data_dir, os.environ, offline=offline),
        os.environ,
        Path.cwd(),
        seeds=options.seeds_in(seeds),
        only=only or (),
        **lengths,
        device=device,
    )
    url = SESSION.store_url(store)
    places = Places(
        store=url,
        folder=Address.parse(url).runs_folder / f"study-{plan.name}",
        data_dir=data_dir,
        offline=offline,
        device=device,
    )
    return plan, places


def pace(
    seconds: Annotated[float, typer.Argument(help="Seconds of training.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="-- MODEL DATASET ...", help="Arguments and options of a run."),
    ],
) -> None:
    """Measure how many epochs of a run fit into some seconds, by a pilot that isn't stored.

    Prints the epochs and the pace as JSON: genbench pace 45 -- gan mnist --batch-size 64
    """
    from dataclasses import asdict

    from genbench.cli.stopping import StopSignals
    from genbench.errors import UsageError
    from genbench.study import measure

    if not 0 < seconds < float("inf"):
        raise UsageError(f"pace {seconds}: the seconds must be a finite number above 0")
    with StopSignals(quiet=True) as signals:
        found = measure(words, seconds, signals)
    print_json({"epochs": found.epochs(seconds), "seconds": seconds, "pace": asdict(found)})


def _enqueue(plan: Plan, places: Places, retry: bool, priority: int, *, as_json: bool) -> None:
    from genbench.study import enqueue_study

    count = enqueue_study(plan, places, retry=retry, priority=priority)
    if as_json:
        print_json({"study": plan.name, "batch": plan.tag, "enqueued": count})
    say(
        f"{counted(count, 'task')} of {plan.tag} enqueued; to carry them out: genbench work; "
        "to see them: genbench queue"
    )


def _launched(
    plan: Plan, places: Places, count: int, name: str, values: Sequence[str] | None
) -> Launched:
    """The workers of a study that a launcher is to start."""
    from genbench.study import Launched
    from genbench.work import WorkerOptions, make_launcher

    launcher = make_launcher(SESSION.registry, name, values or ())
    devices = () if places.device is None else (places.device,)
    store = places.store if "://" in places.store else str(Path(places.store).resolve())
    wanted = WorkerOptions(store=store, batch=plan.tag, devices=devices, environ=places.environ)
    return Launched(launcher=launcher, order=wanted.order(count, places.folder / "workers"))


def _execute(
    plan: Plan,
    places: Places,
    jobs: int | None,
    retry: bool,
    out: Path | None,
    launched: Launched | None,
) -> Outcome:
    """Execute what is missing; if a page is written, draw its figures too."""
    from genbench.cli.stopping import StopSignals
    from genbench.errors import InterruptedRunError
    from genbench.study import draw, execute

    try:
        with StopSignals(quiet=SESSION.verbosity < 0) as signals:
            outcome = execute(
                plan,
                places,
                jobs=jobs,
                retry=retry,
                launched=launched,
                should_stop=signals,
                say=say,
            )
            if out is not None:
                draw(plan, places, out, outcome, jobs=jobs or 1, should_stop=signals, say=say)
            return outcome
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "the study was stopped at once; runs in the middle of an epoch lost their last "
            "steps, and the same command continues from their checkpoints"
        ) from None


def _print_results(
    plan: Plan,
    places: Places,
    outcome: Outcome,
    out: Path | None,
    format: Format,
    *,
    as_json: bool,
) -> None:
    from genbench.files.writing import write_text
    from genbench.store import Store
    from genbench.study import as_dict, book_of, figures, findings, markdown, read_paces, results

    book = book_of(plan, places)
    with Store.open(places.store, mode="read") as opened:
        found = results(opened, plan, read_paces(plan, places, opened))
    remarks = list(dict.fromkeys((*found.remarks, *outcome.remarks)))
    if out is not None:
        page = markdown(
            found,
            plan,
            jobs=book.jobs(),
            remarks=outcome.remarks,
            figures=figures(plan, places, out),
        )
        write_text(out, page)
    claims = findings(found, plan)
    if as_json:
        tables = [as_dict(table) for table in found.tables]
        counts = {name: getattr(outcome, name) for name in ("trained", "reused", "failed")}
        print_json(
            {"study": plan.name, "title": plan.study.title, **counts, "tables": tables}
            | {"claims": [_claim_as_dict(claim) for claim in claims]}
            | {"remarks": remarks, "out": None if out is None else str(out)}
        )
        return
    _print_tables(plan, found, format)
    for remark in remarks:
        say(f"remark: {remark}")
    for claim in claims:
        say(f"claim: {claim.sentence}")
    if out is not None:
        say(f"written: {out}")


def _claim_as_dict(found: ClaimResult) -> dict[str, Any]:
    values = {"dataset": found.dataset, "verdict": found.verdict, "numbers": found.numbers}
    return {"text": found.claim.text, **values}


def _print_tables(plan: Plan, found: Results, format: Format) -> None:
    from genbench.study import rows_of, title_of

    for i, table in enumerate(found.tables):
        print("\n" * (i > 0), end="")
        headings, rows = rows_of(table, plan)
        cells = [[Best(v.text) if v.best else v.text for v in row] for row in rows]
        texts = 1 + (len(plan.study.samplers) > 1)
        print_table(headings, cells, format=format, title=title_of(table), right=headings[texts:])
        for remark in table.remarks:
            say(f"note: {table.dataset}: {remark}")


# --- the plan -----------------------------------------------------------------------------------


def _print_forecast(plan: Plan, found: Sequence[Forecast], jobs: int, *, as_json: bool) -> None:
    from genbench.formatting import duration, number, spans
    from genbench.study import groups_of

    if as_json:
        print_json({"study": plan.name, "runs": [_as_dict(p) for p in found]})
        return
    rows = [
        [
            forecast.planned.entry.row.title,
            forecast.planned.entry.dataset,
            forecast.planned.seed,
            forecast.planned.epochs or "by a pilot",
            forecast.planned.entry.spec.batch_size,
            number(forecast.seconds, 3) or "not known",
            forecast.evaluations,
            f"{forecast.run.status} {forecast.run.id}" if forecast.run else "to be run",
        ]
        for forecast in found
    ]
    columns = ["row", "dataset", "seed", "epochs", "batch size", "train s", "evaluations", "run"]
    right = ["seed", "epochs", "batch size", "train s", "evaluations"]
    print_table(columns, rows, title=plan.study.title, right=right)
    left = [p for p in found if p.run is None or p.run.status != "finished"]
    known = sum(p.seconds or 0.0 for p in left)
    unknown = sum(p.seconds is None for p in left)
    evaluations = sum(p.evaluations for p in found)
    of_unknown = f", and {counted(unknown, 'run')} of unknown length" if unknown else ""
    say(
        f"{len(left)} of {counted(len(found), 'run')} and "
        f"{counted(evaluations, 'further evaluation')} to do: "
        f"{duration(known)} of training known{of_unknown}; scoring takes extra time"
    )
    missing = [forecast.planned for forecast in found if forecast.run is None]
    for title, group in groups_of(plan, missing, jobs).items():
        seeds = spans([planned.seed for planned in group])
        say(f"note: {title}: seeds {seeds} are trained together if a trial shows that it is faster")
    for entry in plan.entries:
        for note in entry.notes:
            say(f"note: {entry.title}: {note}")
        for sampling in entry.samplings:
            if sampling.refused:
                say(f"note: {entry.title}: {sampling.refused}")


def _as_dict(forecast: Forecast) -> dict[str, Any]:
    planned, run = forecast.planned, forecast.run
    return {
        "row": planned.entry.row.title,
        "dataset": planned.entry.dataset,
        "seed": planned.seed,
        "epochs": planned.epochs,
        "train_s": forecast.seconds,
        "evaluations": forecast.evaluations,
        "run": run.id if run else None,
        "status": run.status.value if run else None,
    }
