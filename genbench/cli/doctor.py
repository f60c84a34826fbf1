"""``genbench doctor``: the machine, the places of files, and what is broken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import JsonOption
from genbench.cli.output import print_json, print_table
from genbench.cli.session import SESSION, say
from genbench.formatting import counted

if TYPE_CHECKING:
    from genbench.contracts import DataAccess


def doctor(
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Store to check (default: GENBENCH_STORE, or runs.db)."),
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Data folder to check (default: GENBENCH_DATA, or data).")
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove the files that killed processes left behind.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Read all decoded data and verify its digests.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Report versions, devices, the store, data, caches, plugins and leftovers; fail on a fault."""
    from genbench.doctor.machine import examine
    from genbench.runner.access import data_access

    access = data_access(data_dir, os.environ)
    removed = _clean(SESSION.store_url(store), access) if clean else []
    findings = examine(SESSION.registry, access, SESSION.store_url(store), data=data)
    errors = [finding.error for finding in findings if finding.error]
    if json:
        print_json(
            {
                "ok": not errors,
                "findings": [finding.as_dict() for finding in findings],
                **({"removed": removed} if clean else {}),
            }
        )
    else:
        rows = [[f.group, f.name, f.mark, f.text] for f in findings]
        print_table(["", "what", "", "found"], rows)
    if errors:
        raise errors[0]


def _clean(url: str, access: DataAccess) -> list[str]:
    """Remove the leftovers, print them, and return their paths."""
    from genbench.doctor import leftovers
    from genbench.doctor.machine import size

    removed = leftovers.clean(url, access)
    for left in removed:
        say(f"removed {left.path} ({left.what}; {size(left.bytes)})")
    say(f"{counted(len(removed), 'leftover')} removed, {size(sum(left.bytes for left in removed))}")
    return [str(left.path) for left in removed]
