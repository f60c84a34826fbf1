"""``genbench store``: copy a store into another database, and merge one into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli import options
from genbench.cli.output import print_json
from genbench.cli.session import SESSION, say
from genbench.formatting import counted


def group() -> typer.Typer:
    """The group of commands."""
    made = typer.Typer(
        name="store",
        help="Copy and merge stores, and move the files of their runs.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    made.command("copy")(copy)
    made.command("merge")(merge)
    made.command("files")(files)
    return made


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Store to copy: file or URL.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="New or empty store: file or URL.")],
    as_json: options.JsonOption = False,
) -> None:
    """Copy a whole store into an empty one, such as SQLite to PostgreSQL, and compare each row."""
    from genbench.errors import UsageError
    from genbench.store import Store
    from genbench.store.address import Address
    from genbench.store.copying import copy_store

    if Address.parse(source).url == Address.parse(target).url:
        raise UsageError("FROM and TO are the same store")
    SESSION.store_url(source)
    with Store.open(source, files="") as old, Store.open(target, mode="create") as new:
        found = copy_store(old, new)
        where = str(new)
    if as_json:
        print_json({"store": where, "rows": found.rows, "folders": found.folders})
        return
    say(
        f"copied {sum(found.rows.values()):,} rows of {len(found.rows)} tables and "
        f"{counted(len(found.folders), 'folder')} of runs to {where}; each row was compared with "
        "its copy"
    )


def merge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Store to merge runs from.")],
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Merge the runs of another store into this one, with their files; known runs are kept."""
    from genbench.store import Store
    from genbench.store.copying import merge_store

    url = SESSION.store_url(store)
    with Store.open(file, files="") as spool, Store.open(url, mode="create") as target:
        found, running = merge_store(spool, target)
    for run_id, name in found.unnamed.items():
        say(f"note: the name '{name}' is taken, so run {run_id} has none; see: genbench edit")
    for run_id in running:
        say(f"note: run {run_id} is still running; merge the file again when it has ended")
    if as_json:
        new, known = list(found.new), list(found.known)
        print_json({"merged": new, "known": known, "running": list(running)})
        return
    say(f"{counted(len(found.new), 'run')} merged, {len(found.known)} already known")


def files(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="Folder or fsspec address to move them to."),
    ] = None,
    moved: Annotated[
        bool, typer.Option("--moved", help="The files are there already: only store the address.")
    ] = False,
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show where the files of the runs are, or copy them to a shared folder or an fsspec address.

    All commands find them there from then on; the old ones may be deleted.
    """
    from genbench.store import Store
    from genbench.store.copying import move_files

    url = SESSION.store_url(store)
    with Store.open(url, mode="read" if address is None else "write", files="") as opened:
        copied = [] if address is None else move_files(opened, address, moved=moved)
        where = opened.files.address or str(opened.runs_folder)
    if as_json:
        print_json({"files": where, "copied": copied})
    elif address is None:
        print(where)
    else:
        say(f"the files of the runs are at {where}; {counted(len(copied), 'folder')} copied")
