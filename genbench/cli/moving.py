"""``genbench export`` and ``import``: runs in one file, the store as tables, a generator alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completing, options
from genbench.cli.destination import file_for, folder_for
from genbench.cli.opening import ModelOptions, open_store, resolved
from genbench.cli.output import print_json
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError
from genbench.exporting.format import ExportFormat
from genbench.formatting import counted, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.exporting.export import Exported
    from genbench.store import Store


def export(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.zip] [RUN]...",
            help="Zip file to write, and its runs; with --format one run; with --csv, --parquet or "
            "--datasette only runs (default: all).",
            autocompletion=completing.runs,
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write each table as a CSV file to this folder.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(help="Write each table as a Parquet file to this folder."),
    ] = None,
    datasette: Annotated[
        Path | None,
        typer.Option(
            help="Write metadata for datasette, which describe the store, to this JSON file."
        ),
    ] = None,
    format: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            help="Write the run's generator as one file in this format, which runs without "
            "genbench.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File of --format to write (default: generator-RUN in .pt2, .onnx or .pt)."
        ),
    ] = None,
    store: options.StoreOption = None,
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Export runs to a zip file, the store as tables, or the generator of a run as one file."""
    given, url = list(arguments or ()), SESSION.store_url(store)
    if format is not None:
        if len(given) != 1 or csv or parquet or datasette:
            raise UsageError(f"--format takes one run: genbench export RUN --format {format}")
        loading = ModelOptions(store=store, data_dir=data_dir, offline=offline, device="cpu")
        _generator(given[0], format, out, loading, as_json=as_json)
        return
    if out is not None:
        raise UsageError("--out belongs to --format; a zip file is named before its runs")
    with open_store(store) as opened:
        if csv or parquet or datasette:
            ids = resolved(opened, given)
            written = _tables(opened, ids, url, csv=csv, parquet=parquet, datasette=datasette)
        else:
            if len(given) < 2:
                raise UsageError(
                    "name a file and at least one run: genbench export FILE.zip RUN..."
                )
            ids = resolved(opened, given[1:])
            written = [_zip(given[0], ids, url)]
    if as_json:
        files = [{"path": str(path.resolve()), "bytes": path.stat().st_size} for path in written]
        print_json({"runs": ids, "files": files})
        return
    for path in written:
        print(plain(str(path)))


def _zip(given: str, ids: Sequence[str], url: str) -> Path:
    from genbench.store import Store
    from genbench.store.bundle import export_runs

    path = file_for(given, (".zip",), store=url)
    with Store.open(url) as opened:
        try:
            size = export_runs(opened, ids, path)
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror or error}") from error
    say(f"{counted(len(ids), 'run')}, {size / 1e6:.1f} MB")
    return path


def _tables(
    store: Store,
    ids: Sequence[str],
    url: str,
    *,
    csv: Path | None,
    parquet: Path | None,
    datasette: Path | None,
) -> list[Path]:
    from genbench.files.writing import write_text
    from genbench.store.tables import datasette_metadata, write_csv, write_parquet

    written: list[Path] = []
    try:
        if csv:
            written += write_csv(store, folder_for(csv, store=url), ids)
        if parquet:
            written += write_parquet(store, folder_for(parquet, store=url), ids)
        if datasette:
            path = file_for(datasette, (".json",), store=url)
            write_text(path, datasette_metadata(store))
            written.append(path)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be written: {error.strerror}") from error
    return written


def _generator(
    reference: str, format: ExportFormat, out: str | None, given: ModelOptions, *, as_json: bool
) -> None:
    """Write the generator of a run, and print its path, or all that is known of the file."""
    with open_store(given.store) as opened:
        run_id = opened.resolve(reference)
        default = f"generator-{run_id}{format.ending}"
        path = file_for(out or default, (format.ending,), store=SESSION.store_url(given.store))

        def work(**hooks: Any) -> Exported:
            from genbench.exporting.export import export_generator
            from genbench.runner import load_run
            from genbench.runner.source_runs import weights_digest

            loaded = load_run(run_id, registry=SESSION.registry, store=opened, **hooks)
            weights = weights_digest(loaded.model.nets)
            try:
                return export_generator(loaded, path, format, weights=weights)
            except OSError as error:
                reason = error.strerror or str(error)
                raise UsageError(f"{path} can't be written: {reason}") from error

        exported: Exported = given.watched(work)
    say(exported.summary)
    if as_json:
        print_json(
            {
                **exported.description,
                "format": str(format),
                "path": str(path.resolve()),
                "bytes": path.stat().st_size,
                "max_difference": exported.difference,
                "samples_checked": exported.samples,
            }
        )
    else:
        print(plain(str(path)))


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="File written by export.")],
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Import the runs of a file with their ids; runs that are already in the store are kept."""
    from genbench.store import Store
    from genbench.store.bundle import import_runs

    with Store.open(SESSION.store_url(store), mode="create") as opened:
        found = import_runs(opened, file)
        missing = {
            run_id: [p for p in opened.run(run_id).parents if not _has(opened, p)]
            for run_id in found.new
        }
    for run_id, name in found.unnamed.items():
        say(f"note: the name '{name}' is taken, so run {run_id} has none; see: genbench edit")
    for run_id, parents in missing.items():
        if parents:
            missed = ", ".join(parents)
            say(f"note: run {run_id} is built on what is not in this store: {missed}")
    if as_json:
        print_json({"imported": found.new, "known": found.known, "unnamed": dict(found.unnamed)})
        return
    for run_id in found.new:
        say(f"imported {run_id}")
    for run_id in found.known:
        say(f"{run_id} is already in the store")


def _has(store: Store, run_id: str) -> bool:
    return bool(store.rows("SELECT 1 FROM runs WHERE id = :id", {"id": run_id}))
