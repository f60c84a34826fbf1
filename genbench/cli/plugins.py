"""Commands around plugins: ``plugins`` (list), ``plugins new``, ``plugins doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.listing import KindOption
from genbench.cli.options import FormatOption, JsonOption
from genbench.cli.output import Format, print_json, print_table, record
from genbench.cli.session import SESSION, say, warn

if TYPE_CHECKING:
    from genbench.registration.installed import PluginInfo


def group() -> typer.Typer:
    """The group of commands."""
    made = typer.Typer(
        name="plugins",
        help="List, make and check plugins.",
        invoke_without_command=True,
        rich_markup_mode=None,
    )
    made.callback()(bare)
    made.command("list")(list_)
    made.command("new")(new)
    made.command("doctor")(doctor)
    return made


def bare(
    context: typer.Context, format: FormatOption = Format.TABLE, json: JsonOption = False
) -> None:
    """List, make and check plugins; without a command, list them."""
    if context.invoked_subcommand is None:
        list_(format, json)


def list_(format: FormatOption = Format.TABLE, json: JsonOption = False) -> None:
    """List the installed plugins with what they register, and the errors of broken ones."""
    found = [_head(plugin) for plugin in SESSION.registry.plugins]
    if json:
        print_json({"plugins": found})
        return
    columns = ["name", "distribution", "version", "status", "registers", "trouble"]
    rows = [
        [p.name, p.distribution, p.version, p.status, ", ".join(p.names), p.trouble]
        for p in SESSION.registry.plugins
    ]
    print_table(columns, rows, format=format)


def new(
    name: Annotated[
        str, typer.Argument(help="Name of the part that the plugin registers, such as ls-gan.")
    ],
    kind: Annotated[KindOption, typer.Option(help="Kind of the part.")] = KindOption.MODEL,
    into: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write the package into.")
    ] = Path(),
) -> None:
    """Write a plugin package, genbench-NAME, with tests that pass."""
    from genbench.scaffold.package import new_plugin

    for path in new_plugin(name, kind.value, into, SESSION.registry):
        print(path)
    folder = into / f"genbench-{name}"
    place = folder if folder.is_absolute() else f"./{folder}"
    say(f"Next: pip install -e '{place}[test]' && pytest {place}")


def doctor(format: FormatOption = Format.TABLE, json: JsonOption = False) -> None:
    """Import all registered parts and check them against the contract (exit code 4 on a fault)."""
    from genbench.doctor.parts import problems
    from genbench.errors import PluginError

    registry = SESSION.registry
    found = [
        {"what": f"plugin {p.name}", "owner": p.owner, "problem": p.trouble}
        for p in registry.broken
    ]
    found += [
        {"what": f"{p.kind} {p.name}", "owner": p.owner, "problem": p.text}
        for p in problems(registry)
    ]
    if json:
        remarks = {p.name: p.remarks for p in registry.plugins if p.remarks}
        print_json({"ok": not found, "problems": found, "remarks": remarks})
    elif found:
        print_table(list(found[0]), [list(row.values()) for row in found], format=format)
    else:
        names = sum(len(plugin.names) for plugin in registry.plugins)
        print(f"{len(registry.plugins)} plugins, {names} registrations: no problems found.")
    for plugin in registry.plugins:
        for remark in plugin.remarks:
            warn(f"plugin '{plugin.name}' ({plugin.owner}): {remark}")
    if found:
        first = found[0]
        raise PluginError(
            f"{len(found)} problem{'s' * (len(found) > 1)} with plugins; the first is "
            f"{first['what']} ({first['owner']}): {first['problem']}"
        )


def _head(plugin: PluginInfo) -> dict[str, Any]:
    names = ("name", "distribution", "version", "status", "error", "hint", "remarks")
    return {
        **record(plugin, *names, "builtin", "module"),
        "registers": plugin.names,
        "import_s": round(plugin.seconds, 4),
        "disabled_by": plugin.disabled,
    }
