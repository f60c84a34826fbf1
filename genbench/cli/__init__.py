"""The command line: the one place that turns an error into text and an exit code.

Each group of commands stands in its own file with ``add_to(app)``; those files import only typer,
rich-free helpers and the standard library at the top, and everything else inside the command.
Options that hold for every command (``--debug``, ``-q``, ``-v``, ``--strict-plugins``) may stand
anywhere on the line.

Exit codes: 0 done, 1 run failed, 2 usage, 3 nothing matched, 4 plugin, 5 store, 130 interrupted.
"""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from genbench.cli.session import SESSION, complain
from genbench.errors import GenbenchError

if TYPE_CHECKING:
    import typer

GROUPS = {
    "running": ("run", "resume", "rerun", "rm"),
    "sampling": ("evaluate", "sample"),
    "picturing": ("interpolate", "traverse", "latents", "reconstruct", "curves"),
    "reading": ("runs", "show", "diff", "query"),
    "comparing": ("compare", "report"),
    "studying": ("study",),
    "listing": ("models", "datasets", "samplers", "metrics", "presets", "info"),
    "plugins": ("plugins",),
    "doctor": ("doctor",),
}
"""Files of this folder and their commands, in the order in which ``--help`` shows them."""
HELP = ("-h", "--help")


def main() -> None:
    """Run the command line and exit with a documented code."""
    arguments = SESSION.take_global_options(sys.argv[1:])
    try:
        if SESSION.strict_plugins and not any(word in HELP for word in arguments):
            _ = SESSION.registry  # loaded here even for a command that asks for no plugin
        app = _app(arguments)
        if not arguments or arguments[0] in HELP:
            _leave_out_parameters(app)
        app(args=arguments, prog_name="genbench")
    except GenbenchError as error:
        if SESSION.debug:
            raise
        complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader went away (genbench query ... | head): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if SESSION.debug:
            raise
        complain(
            f"unexpected {type(error).__name__}: {error} "
            "(this is a fault of genbench or of a plugin; --debug shows where)"
        )
        sys.exit(1)


def _app(arguments: list[str]) -> typer.Typer:
    """The command line; where its first word is a command, with that command's group alone.

    Typer builds every option of every command it is given [some 20 ms for all groups].
    """
    import typer

    from genbench import __version__

    app = typer.Typer(
        name="genbench",
        help="Train, sample, score and compare generative models.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": list(HELP)},
        rich_markup_mode=None,
    )

    def show_version(value: bool) -> None:
        if value:
            print(f"genbench {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
    ) -> None:
        """Train, sample, score and compare generative models.

        For every command: --debug shows tracebacks, -q less, -v more, --strict-plugins stops at
        a broken plugin.
        """

    command = arguments[0] if arguments else ""
    wanted = [group for group, names in GROUPS.items() if command in names]
    for group in wanted or GROUPS:
        import_module(f"genbench.cli.{group}").add_to(app)
    return app


def _leave_out_parameters(app: typer.Typer) -> None:
    """Keep of each command its name and help: the list of commands shows no more.

    Typer would build every option of every command to print it [14 of 110 ms].
    """
    for command in app.registered_commands:
        command.help = command.help or inspect.getdoc(command.callback)
        command.callback = _nothing
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _leave_out_parameters(group.typer_instance)


def _nothing() -> None:
    """Stand in for a command whose help line alone is wanted."""
