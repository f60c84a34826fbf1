"""``genbench doctor``: what this machine has, where files are, and what is broken."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from genbench.cli.listing import JsonOption
from genbench.cli.output import print_json, print_table
from genbench.cli.session import SESSION


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="The store to look at.")
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option("--data-dir", help="The data folder to look at.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Report versions, devices, the store, data, caches and plugins; fail where one is broken."""
    from genbench.examination import examine
    from genbench.runner.access import data_access

    access = data_access(data_dir, os.environ)
    findings = examine(SESSION.registry, access, SESSION.store_url(store))
    errors = [finding.error for finding in findings if finding.error]
    if json:
        print_json({"ok": not errors, "findings": [finding.as_dict() for finding in findings]})
    else:
        rows = [[f.group, f.name, f.mark, f.text] for f in findings]
        print_table(["", "what", "", "found"], rows)
    if errors:
        raise errors[0]
