"""``genbench bench``: how fast a model trains on this machine, and where its time goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import options
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError
from genbench.formatting import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@options.run_options("batch_size", "accumulate", "device", "precision", "threads")
def bench(
    model: options.ModelArgument,
    dataset: options.DatasetArgument,
    sets: options.SetsOption = None,
    compare: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What to compare: threads, precision, capture, compile, with commas; or none.",
        ),
    ] = "threads,precision,capture,compile",
    seconds: Annotated[
        float, typer.Option(help="Seconds for each measurement.", min=0.01, max=3600)
    ] = 1.0,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    format: options.FormatOption = Format.TABLE,
    as_json: options.JsonOption = False,
    **fields: Any,
) -> None:
    """Measure how fast a model trains, and where its time goes; no run is stored."""
    from genbench.planning.resolve import Request, resolve
    from genbench.runner.access import data_access
    from genbench.runner.benching import WAYS, bench as measure
    from genbench.store import Store

    compared = [] if compare == "none" else [word.strip() for word in compare.split(",")]
    for name in compared:
        if name not in WAYS:
            raise UsageError(f"--compare {name}: expected some of {', '.join(WAYS)}, or none")
    access = data_access(data_dir, os.environ, offline=offline)
    request = Request(model=model, dataset=dataset, run=fields, sets=sets or ())
    resolved = resolve(request, SESSION.registry, access, os.environ, Path.cwd())
    for note in resolved.notes:
        say(f"note: {note}")
    with Store.open(SESSION.store_url(store), mode="create") as opened:
        found = measure(
            resolved.spec,
            registry=SESSION.registry,
            store=opened,
            access=access,
            compared=compared,
            seconds=seconds,
            measured=lambda stage: say(f"stage '{stage.stage}': {number(stage.ms)} ms a step"),
        )
    if as_json:
        print_json(found)
        return
    _print(found, format)


def benches(
    store: options.StoreOption = None,
    format: options.FormatOption = Format.TABLE,
    json: options.JsonOption = False,
) -> None:
    """List what bench has measured, the newest first."""
    from genbench.store import Store
    from genbench.store.benches import stored_benches

    with Store.open(SESSION.store_url(store), mode="read") as opened:
        found = stored_benches(opened)
    if json:
        rows = [{"bench": one.bench, "created_at": one.created_at, **one.body} for one in found]
        print_json({"benches": rows})
        return
    columns = ["bench", "created", "model", "dataset", "hardware", "stage", "ms/step", "images/s"]
    cells = [
        [
            *(one.bench, one.created_at[:19], one.model, one.dataset, _hardware(one.body)),
            *(stage["stage"], stage["ms"], stage["images_per_s"]),
        ]
        for one in found
        for stage in one.body["stages"]
    ]
    print_table(columns, cells, format=format, right=["ms/step", "images/s"])


def _hardware(body: Mapping[str, Any]) -> str:
    if body["gpu"]:
        return str(body["gpu"])
    return f"{body['cpu']}, {body['threads']} thread{'s' * (body['threads'] > 1)}"


def _print(found: Mapping[str, Any], format: Format) -> None:
    """A table of the parts of a step for each stage, and one of the ways to execute it."""
    say(
        f"bench {found['bench']}: {found['model']} on {found['dataset']}, {_hardware(found)}, "
        f"{found['precision']}, load {number(found['load'] or 0.0)}; matrix products: "
        f"{number(found['matrix_gflops_per_s'])} GFLOP/s"
    )
    for stage in found["stages"]:
        rows = [(part["name"], part["ms"], f"{part['share']:.0%}") for part in stage["parts"]]
        rows.append(("all of a step", stage["ms"], "100%"))
        limit = stage["limit_ms"]
        rows.append(("arithmetic limit", limit, f"{limit / stage['ms']:.0%}"))
        print_table(
            ["part", "ms", "share"],
            rows,
            format=format,
            title=f"{stage['stage']}: {number(stage['images_per_s'])} images/s",
            right=["ms", "share"],
        )
        if stage["ways"]:
            print_table(
                ["instead", "ms/step", "times as long"],
                [_way(name, way, stage["ms"]) for name, way in stage["ways"].items()],
                format=format,
                title=f"{stage['stage']}, other ways",
                right=["ms/step", "times as long"],
            )


def _way(name: str, measured: float | str, own: float) -> Sequence[Any]:
    if isinstance(measured, str):
        return name, "", f"not possible: {measured}"
    return name, measured, measured / own
