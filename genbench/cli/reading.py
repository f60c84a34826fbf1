"""Commands that read the store and never make one: ``runs``, ``show``, ``diff``, ``query``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import showing
from genbench.cli.output import Format, numeric, print_json, print_json_rows, print_table
from genbench.cli.stored import (
    DatasetOption,
    FormatOption,
    JsonOption,
    ModelOption,
    StoreOption,
    TagOption,
    age,
    head,
    open_store,
)
from genbench.numbers import number
from genbench.spec import MOST

if TYPE_CHECKING:
    from genbench.store.records import Run, ScoreRecord


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("runs")(runs)
    showing.add_to(app)
    app.command("query")(query)


# --- runs


def runs(
    model: ModelOption = None,
    dataset: DatasetOption = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only runs of this status, such as failed.")
    ] = None,
    tag: TagOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST, help="At most so many runs.")
    ] = 20,
    store: StoreOption = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """List runs, the newest first."""
    from genbench.errors import NoSuchRunError, UnknownNameError
    from genbench.store.records import Status

    if status is not None and status not in {s.value for s in Status}:
        raise UnknownNameError("status", status, [s.value for s in Status])
    with open_store(store) as opened:
        found = opened.runs(model=model, dataset=dataset, status=status, tag=tag, limit=limit)
        if not found:
            asked = any((model, dataset, status, tag))
            raise NoSuchRunError(
                f"no run in {opened.url} {'matches' if asked else 'yet'}; see: genbench "
                f"{'runs' if asked else 'run --help'}"
            )
        if json:
            print_json({"runs": [head(run) for run in found]})
            return
        rows = [_run_row(run, best_score(opened.scores(run.id))) for run in found]
    columns = ["id", "name", "model", "dataset", "preset", "seed", "status", "epochs", "age"]
    columns += ["train s", "score"]
    print_table(columns, rows, format=format, right=("seed", "epochs", "age", "train s"))


def _run_row(run: Run, best: ScoreRecord | None) -> list[Any]:
    epochs = f"{run.epochs_done}/{run.epochs_planned}"
    score = f"{best.metric} {number(best.value)}" if best else None
    dataset = ":".join((run.dataset, *run.parents))
    row = [run.id, run.name, run.model, dataset, run.preset, run.seed, run.status.value]
    return [*row, epochs, age(run.created_at), number(run.train_s, 3), score]


def best_score(scores: Sequence[ScoreRecord]) -> ScoreRecord | None:
    """The best finite value of the metric that was taken first, whatever epoch it is of."""
    usable = [s for s in scores if s.value is not None]
    if not usable:
        return None
    first = usable[0]
    same = [s for s in usable if (s.metric, s.protocol_hash) == (first.metric, first.protocol_hash)]
    sign = 1 if first.direction == "min" else -1
    return min(same, key=lambda s: sign * (s.value or 0.0))


# --- query


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One select statement.")],
    store: StoreOption = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Ask the store in SQL; it is opened read-only. docs/store.md lists tables and views."""
    with open_store(store) as opened, opened.stream(sql) as (columns, rows):
        if json:
            print_json_rows(columns, rows)
            return
        right, rows = numeric(columns, rows)
        print_table(columns, rows, format=format, right=right)
