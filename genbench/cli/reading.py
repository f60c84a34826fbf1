"""Commands that read the store and never create one: ``runs``, ``show``, ``diff``, ``query``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.opening import age, compressed_by, head, open_store
from genbench.cli.output import Format, numeric, print_json, print_json_rows, print_table
from genbench.cli.showing import diff as diff, show as show
from genbench.formatting import ARROWS, number
from genbench.spec import MOST

if TYPE_CHECKING:
    from genbench.errors import NoSuchRunError
    from genbench.store import Filter, Store
    from genbench.store.final_scores import Scores
    from genbench.store.records import Run


# --- runs


def runs(
    filters: options.FiltersArgument = None,
    model: options.ModelOption = None,
    dataset: options.DatasetOption = None,
    status: Annotated[
        str | None, typer.Option(help="Only runs with this status, such as failed.")
    ] = None,
    tag: options.TagOption = None,
    archived: options.ArchivedOption = False,
    sort: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Sort by a key of a filter; -KEY reverses the order."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="Maximum number of runs.")] = 20,
    store: options.StoreOption = None,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """List runs, newest first or sorted by a key."""
    from genbench.store.filters import shows_archived
    from genbench.store.final_scores import final_scores, shown_metrics

    where = options.filters(filters, model=model, dataset=dataset, status=status, tag=tag)
    with open_store(store) as opened:
        hidden = not archived and not shows_archived(where)
        found = opened.runs(where=where, archived=False if hidden else None, sort=sort, limit=limit)
        if not found:
            raise _no_run(opened, where, hidden=hidden)
        if json:
            print_json({"runs": [head(run) for run in found]})
            return
        scores = final_scores(opened, found)
    metrics = shown_metrics(found, scores)
    columns = ["id", "name", "model", "dataset", "preset", "seed", "status", "epochs", "age"]
    right = ["seed", "epochs", "age", "train s"]
    arrows = {metric: f"{metric} {ARROWS.get(way, '')}".strip() for metric, way in metrics.items()}
    rows = [[*_run_row(run), *_shown(run, scores, metrics)] for run in found]
    columns = [*columns, "train s", *arrows.values()]
    if format is Format.TABLE:
        columns, rows = _without_empty(columns, rows, ("name", "preset"))
    print_table(columns, rows, format=format, right=(*right, *arrows.values()))


def _without_empty(
    columns: list[str], rows: list[list[Any]], some: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """A table without those of ``some`` columns that no row fills: a terminal is narrow."""
    kept = [i for i, name in enumerate(columns) if name not in some or any(row[i] for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _no_run(store: Store, where: Sequence[Filter], *, hidden: bool) -> NoSuchRunError:
    from genbench.errors import NoSuchRunError

    asked = bool(where)
    see = "runs" if asked else "run --help"
    if hidden and store.runs(where=where, archived=True, limit=1):
        asked, see = True, "runs --archived"
    what = "matches" if asked else "yet"
    return NoSuchRunError(f"no run in {store.url} {what}", hint=f"See: genbench {see}")


def _run_row(run: Run) -> list[Any]:
    epochs = f"{run.epochs_done}/{run.epochs_planned}"
    compressed = compressed_by(run)
    dataset = ":".join((run.dataset, *run.parents[1 if compressed else 0 :]))
    model = run.model + (f", {compressed}" if compressed else "")
    status = run.status.value + (", archived" if run.archived_at else "")
    row = [run.id, run.name, model, dataset, run.preset, run.seed, status]
    return [*row, epochs, age(run.created_at), number(run.train_s, 3)]


def _shown(run: Run, scores: Scores, metrics: Mapping[str, str]) -> list[str | None]:
    """One cell per metric; a score that is not finite is stored without a value."""
    own = scores.get(run.id, {})
    return [
        ("nan" if own[metric].value is None else number(own[metric].value))
        if metric in own
        else None
        for metric in metrics
    ]


# --- query


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT statement.")],
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILTER",
            help="The tables and views show only runs that meet this filter; repeatable.",
        ),
    ] = None,
    store: options.StoreOption = None,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """Query the store with SQL, read-only; docs/store.md lists its tables and views."""
    wanted = options.filters(where)
    with open_store(store) as opened, opened.stream(sql, wanted) as (columns, rows):
        if json:
            print_json_rows(columns, rows)
            return
        right, rows = numeric(columns, rows)
        print_table(columns, rows, format=format, right=right)
