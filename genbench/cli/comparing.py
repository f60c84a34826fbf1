"""Commands that compare experiments: ``compare`` prints a table, ``report`` writes a page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.destination import file_for
from genbench.cli.opening import open_store
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say, warn
from genbench.cli.text_table import Best
from genbench.errors import UsageError
from genbench.formatting import counted, plain
from genbench.spec import MOST

if TYPE_CHECKING:
    from genbench.compare import Selected, Table
    from genbench.report.cells import Cell
    from genbench.report.searches import Search
    from genbench.store import Store

BaselineOption = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="NAME",
        help="Baseline of the speed-ups: a model, preset, run, experiment or title of a row.",
    ),
]
AllMetricsOption = Annotated[
    bool, typer.Option("--all-metrics", help="Also show metrics that few rows have.")
]
LimitOption = Annotated[
    int,
    typer.Option(
        "--limit", min=1, max=MOST, help="Maximum number of experiments per data set, best first."
    ),
]


class ReportFormat(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"


REPORT_FILES = {ReportFormat.HTML: (".html", ".htm"), ReportFormat.MD: (".md",)}
"""The endings of a report's file, by its format."""


def compare(
    filters: options.FiltersArgument = None,
    dataset: options.DatasetOption = None,
    model: options.ModelOption = None,
    tag: options.TagOption = None,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric; repeatable.")] = None,
    sampler: Annotated[
        list[str] | None, typer.Option(help="Only this sampler; repeatable.")
    ] = None,
    baseline: BaselineOption = None,
    target: Annotated[
        float | None, typer.Option(help="Show the training time until this score was reached.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Sort by a metric, model, seeds, epoch, total, speedup, target or a setting; "
            "-COLUMN reverses the order.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="Make one row for each model and value of this setting; repeatable. size: sort "
            "rows by size, beside the runs that they compress.",
        ),
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto", help="Show only rows that no other row beats in score and total seconds."
        ),
    ] = False,
    cost: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Cost of --pareto instead of the seconds, such as bytes or samples_per_second.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="File to draw all rows and the front of --pareto into (.svg or .png)."),
    ] = None,
    limit: LimitOption = 20,
    all_metrics: AllMetricsOption = False,
    archived: options.ArchivedOption = False,
    store: options.StoreOption = None,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """Compare finished runs: scores with spread over seeds, seconds, speed-ups."""
    from genbench.compare import Question, Selection, baseline_of, reached, select, tabulate
    from genbench.compare.parents import SIZE, WEIGHTS, parents_of
    from genbench.report.cells import as_dict
    from genbench.report.front_figure import save_fronts

    for option, given in (("--cost", cost), ("--out", out)):
        if given and not pareto:
            raise UsageError(f"{option} belongs to a Pareto front; add --pareto")
    path = file_for(out, (".svg", ".png"), store=SESSION.store_url(store)) if out else None
    keys = [key for keys in by or () for key in keys.split(",")]
    by_size = SIZE in keys
    by = [key for key in keys if key != SIZE]
    sort = sort or (f"-{WEIGHTS}" if by_size else None)
    with open_store(store) as opened:
        meant = baseline_of(opened, baseline) if baseline else None
        selected = select(
            opened,
            Selection(
                where=options.filters(filters, model=model, dataset=dataset, tag=tag),
                # A baseline among pooled experiments is found by the title of its row.
                baseline=None if by else meant,
                metric=(
                    sort.removeprefix("-")
                    if sort and not pareto
                    else next(iter(metric or ()), None)
                ),
                samplers=tuple(sampler or ()),
                archived=archived,
                limit=None if target is not None or by or pareto or by_size else limit,
                pareto=pareto and not by and not cost and not path,
            ),
        )
        if by_size:
            _check_sizes(selected)
        question = Question(
            baseline=meant,
            metrics=_with_size(metric or (), by_size),
            samplers=tuple(sampler or ()),
            target=target,
            sort=sort,
            by=tuple(by),
            pareto=pareto,
            cost=cost,
            parents=parents_of(opened, selected.runs) if by_size else None,
            all_metrics=all_metrics,
            defaults=_defaults,
        )
        times = reached(opened, selected.runs, target) if target is not None else {}
        tables = tabulate(selected, question, times)
        if path is not None:
            save_fronts(opened, tabulate(selected, replace(question, pareto=False)), path, cost)
            say(f"drew {path}")
    if json:
        left_out = dict(selected.left_out)
        print_json({"datasets": [as_dict(t) for t in tables], "left_out": left_out})
        return
    if format is Format.CSV:
        _print_csv(tables)
    else:
        for i, table in enumerate(tables):
            print("\n" * (i > 0), end="")
            _print(table, limit, format)
    _tell(selected, tables)


def _with_size(metrics: Sequence[str], by_size: bool) -> tuple[str, ...]:
    """The metrics that are asked for, and the size by which rows are sorted."""
    from genbench.compare.parents import WEIGHTS

    return (*metrics, WEIGHTS) if metrics and by_size and WEIGHTS not in metrics else (*metrics,)


def _check_sizes(selected: Selected) -> None:
    from genbench.compare.parents import WEIGHTS

    if not any(score.metric == WEIGHTS for run in selected.runs for score in run.scores):
        raise UsageError(
            "--by size: none of these runs has the metric size",
            hint="To measure it: genbench evaluate RUN --metric size",
        )


def _print(table: Table, limit: int, format: Format) -> None:
    from genbench.report.cells import grid

    cells = grid(table)
    print_table(
        [heading.text for heading in cells.headings],
        [[_text(cell) for cell in row] for row in cells.rows[:limit]],
        format=format,
        title=f"{table.title} · {', '.join(table.devices)}",
        right=[heading.text for heading in cells.headings if heading.numeric],
    )
    if len(cells.rows) > limit:
        more = len(cells.rows) - limit
        say(f"note: {table.title}: {counted(more, 'more row')} not shown (--limit)")


def _text(cell: Cell) -> str:
    return Best(cell.text) if cell.best else cell.text


def _print_csv(tables: Sequence[Table]) -> None:
    from genbench.report.cells import flat

    rows: list[dict[str, Any]] = [row for table in tables for row in flat(table)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    texts = [[_exact(row.get(column)) for column in columns] for row in rows]
    print_table(columns, texts, format=Format.CSV)


def _exact(value: Any) -> Any:
    """CSV is for programs: its numbers keep all digits."""
    return repr(value) if isinstance(value, float) else value


def _tell(selected: Selected, tables: Sequence[Table]) -> None:
    from genbench.compare import method

    for text, titles in _once((t.title, text) for t in tables for text in t.warnings).items():
        warn(f"{titles}: {text}")
    for text, titles in _once((t.title, text) for t in tables for text in t.notes).items():
        say(f"note: {titles}: {text}")
    if how := method(tables):
        say(f"note: {how}")
    _tell_hidden(selected.hidden)
    if selected.left_out:
        counts = ", ".join(f"{count} {status}" for status, count in selected.left_out.items())
        say(f"note: runs that aren't finished are left out: {counts}")


def _once(remarks: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each text once, with the titles of the tables that it is about."""
    found: dict[str, list[str]] = {}
    for title, text in remarks:
        found.setdefault(text, []).append(title)
    return {text: ", ".join(titles) for text, titles in found.items()}


def _tell_hidden(hidden: Mapping[str, int]) -> None:
    for dataset, count in hidden.items():
        say(f"note: {dataset}: {counted(count, 'more experiment')} not shown (--limit)")


def _defaults(dataset: str) -> Mapping[str, Any]:
    """The default settings of a data set; none if its plugin is no longer installed."""
    from genbench.errors import GenbenchError

    try:
        settings = SESSION.registry.settings("dataset", dataset)
    except GenbenchError:
        return {}
    fields = settings.model_fields if settings else {}
    return {name: field.default for name, field in fields.items() if not field.is_required()}


def report(
    filters: options.FiltersArgument = None,
    dataset: options.DatasetOption = None,
    tag: options.TagOption = None,
    baseline: BaselineOption = None,
    limit: LimitOption = 12,
    all_metrics: AllMetricsOption = False,
    archived: options.ArchivedOption = False,
    format: Annotated[
        ReportFormat | None,
        typer.Option(help="Format (default: that of the file's name, or html)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write the report to.")] = None,
    store: options.StoreOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write one self-contained HTML page: the answer, the comparison, curves and pictures."""
    from genbench.compare import Question, Selection, baseline_of
    from genbench.files.writing import write_text
    from genbench.report.content import read_report
    from genbench.report.markdown import render_markdown
    from genbench.report.page import render

    suffixes = REPORT_FILES[format] if format else tuple(chain(*REPORT_FILES.values()))
    out = file_for(
        out or Path(f"genbench-report{suffixes[0]}"), suffixes, store=SESSION.store_url(store)
    )
    with open_store(store) as opened:
        meant = baseline_of(opened, baseline) if baseline else None
        where = options.filters(filters, dataset=dataset, tag=tag)
        selection = Selection(where=where, baseline=meant, archived=archived, limit=limit)
        question = Question(baseline=meant, all_metrics=all_metrics, defaults=_defaults)
        gathered = read_report(opened, selection, question)
        gathered = replace(gathered, searches=searches_of(opened, gathered.runs))
        if out.suffix in REPORT_FILES[ReportFormat.MD]:
            page = render_markdown(gathered, folder=out.resolve().parent)
        else:
            page = render(gathered, can=abilities)
    write_text(out, page)
    if json:
        print_json({"report": str(out.resolve()), "bytes": len(page.encode())})
        return
    print(plain(str(out)))
    _tell_hidden(gathered.hidden)
    if SESSION.verbosity > 0:
        say(f"{len(page.encode()) / 1e6:.1f} MB")


def searches_of(store: Store, runs: Collection[str]) -> tuple[Search, ...]:
    """The searches with trials among some runs, with their pictures."""
    from genbench.report.searches import Search
    from genbench.store.tunings import tunings
    from genbench.tuning.history import read_history
    from genbench.tuning.pictures import drawn
    from genbench.tuning.question import SearchQuestion
    from genbench.tuning.result import findings

    found = []
    for record in tunings(store):
        asked = SearchQuestion.from_json(record.body["question"])
        history = read_history(store, record, asked)
        if not {*history.runs.values()}.isdisjoint(runs):
            told = tuple(findings(asked, history, record.body["effort"]["top"]))
            found.append(Search(name=record.name, findings=told, pictures=drawn(asked, history)))
    return tuple(found)


def abilities(model: str, dataset: str) -> frozenset[str]:
    """What a model on a data set can do, from registrations; nothing if they are gone."""
    from genbench.errors import GenbenchError

    try:
        known = SESSION.registry.get("model", model)
        data = SESSION.registry.get("dataset", dataset)
    except GenbenchError:
        return frozenset()
    images = frozenset() if data.family == "toy" else frozenset({"images"})
    return frozenset(known.capabilities) | images
