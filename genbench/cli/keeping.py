"""``genbench edit``, ``archive`` and ``restore``: keep a store in order; no number is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from genbench.cli import completing, options
from genbench.cli.opening import head, resolved
from genbench.cli.output import print_json
from genbench.cli.session import SESSION, say
from genbench.errors import UsageError


def edit(
    reference: options.RunArgument,
    name: Annotated[
        str | None, typer.Option(help='New name of the run; "" removes its name.')
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Tag to add; repeatable.", autocompletion=completing.tags),
    ] = None,
    untag: Annotated[
        list[str] | None,
        typer.Option(help="Tag to remove; repeatable.", autocompletion=completing.tags),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help='Note about the run; "" removes its note.')
    ] = None,
    store: options.StoreOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Change the name, the tags or the note of a run; its numbers are never changed."""
    from genbench.store import Store

    if name is None and note is None and not (tag or untag):
        raise UsageError("nothing to change; give --name, --tag, --untag or --note")
    with Store.open(SESSION.store_url(store)) as opened:
        run_id = opened.resolve(reference)
        run = opened.edit(run_id, name=name, note=note, tags=tag or (), untag=untag or ())
    if as_json:
        print_json(head(run))
        return
    tags = f"tags {', '.join(run.tags)}" if run.tags else "no tags"
    say(f"{run.id}: {f'name {run.name}' if run.name else 'no name'}, {tags}")


def _setter(*, archived: bool) -> Callable[..., None]:
    """The command that archives runs, or the one that restores them."""

    def command(
        references: options.RunsArgument,
        store: options.StoreOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        from genbench.store import Store

        with Store.open(SESSION.store_url(store)) as opened:
            ids = resolved(opened, references)
            opened.set_archived(ids, archived)
            if as_json:
                print_json({"runs": [head(opened.run(run_id)) for run_id in ids]})
                return
        for run_id in ids:
            say(f"{'archived' if archived else 'restored'} {run_id}")

    command.__doc__ = (
        "Hide runs in runs, compare and report, unless --archived is given."
        if archived
        else "Show archived runs again."
    )
    return command


archive, restore = _setter(archived=True), _setter(archived=False)
