"""Commands around plugins: ``plugins`` (list), ``plugins new``, ``plugins doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.listing import FormatOption, JsonOption, KindOption
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, say

if TYPE_CHECKING:
    from genbench.registry import PluginInfo


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="plugins",
        help="List, make and check plugins.",
        invoke_without_command=True,
        rich_markup_mode=None,
    )
    group.callback()(bare)
    group.command("list")(list_)
    group.command("new")(new)
    group.command("doctor")(doctor)
    app.add_typer(group)


def bare(
    context: typer.Context, format: FormatOption = Format.TABLE, json: JsonOption = False
) -> None:
    """List, make and check plugins; without a command, list them."""
    if context.invoked_subcommand is None:
        list_(format, json)


def list_(format: FormatOption = Format.TABLE, json: JsonOption = False) -> None:
    """List the installed plugins, what each registers, and what is wrong with a broken one."""
    found = [_head(plugin) for plugin in SESSION.registry.plugins]
    if json:
        print_json({"plugins": found})
        return
    columns = ["name", "distribution", "version", "status", "registers", "error"]
    rows = [
        [*(head[key] for key in columns[:4]), ", ".join(head["registers"]), _trouble(head)]
        for head in found
    ]
    print_table(columns, rows, format=format)


def new(
    name: Annotated[str, typer.Argument(help="What it registers, such as ls-gan.")],
    kind: Annotated[KindOption, typer.Option("--kind", help="What kind.")] = KindOption.MODEL,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where to.")] = Path(),
) -> None:
    """Write a plugin package, genbench-NAME, whose own tests pass."""
    from genbench.scaffold import new_plugin

    for path in new_plugin(name, kind.value, into, SESSION.registry):
        print(path)
    folder = into / f"genbench-{name}"
    place = folder if folder.is_absolute() else f"./{folder}"
    say(f"Next: pip install -e '{place}[test]' && pytest {place}")


def doctor(format: FormatOption = Format.TABLE, json: JsonOption = False) -> None:
    """Import everything that is registered and hold it against its contract (exit 4 on a fault)."""
    from genbench.diagnose import problems
    from genbench.errors import PluginError

    registry = SESSION.registry
    found = [
        {"what": f"plugin {p.name}", "owner": p.owner, "problem": f"{p.error}; {p.mend}"}
        for p in registry.broken
    ]
    found += [
        {"what": f"{p.kind} {p.name}", "owner": p.owner, "problem": p.text}
        for p in problems(registry)
    ]
    if json:
        print_json({"ok": not found, "problems": found})
    elif found:
        print_table(list(found[0]), [list(row.values()) for row in found], format=format)
    else:
        names = sum(len(plugin.names) for plugin in registry.plugins)
        print(f"{len(registry.plugins)} plugins, {names} registrations: all sound.")
    if found:
        first = found[0]
        raise PluginError(
            f"{len(found)} problem{'s' * (len(found) > 1)} with plugins; the first is "
            f"{first['what']} ({first['owner']}): {first['problem']}"
        )


def _head(plugin: PluginInfo) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": "broken" if plugin.error else "disabled" if plugin.disabled else "ok",
        "registers": plugin.names,
        "error": plugin.error,
        "mend": plugin.mend,
        "disabled_by": plugin.disabled,
        "builtin": plugin.builtin,
        "module": plugin.module,
    }


def _trouble(head: dict[str, Any]) -> str:
    if head["error"]:
        return f"{head['error']}; {head['mend']}"
    return f"left out by {head['disabled_by']}" if head["disabled_by"] else ""
