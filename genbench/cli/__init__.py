"""The command line: the one place that turns an error into text and an exit code.

Each group of commands has its own file, with a function for each of them; those files import only
typer, rich-free helpers and the standard library at the top, and everything else inside a command.
Options that hold for every command (``--debug``, ``-q``, ``-v``, ``--strict-plugins``, ``--files``)
can be given anywhere on the line.

Exit codes: 0 done, 1 run failed, 2 usage, 3 nothing matched, 4 plugin, 5 store, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

TYPE_CHECKING = False  # what main() does first must not wait for an import
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    import typer

GROUPS = {
    "running": ("run", "resume", "rerun", "rm"),
    "benching": ("bench", "benches"),
    "compressing": ("compress",),
    "sampling": ("evaluate", "sample"),
    "picturing": ("interpolate", "traverse", "latents", "reconstruct", "translate", "curves"),
    "keeping": ("edit", "archive", "restore"),
    "moving": ("export", "import"),
    "animating": ("animate",),
    "reading": ("runs", "show", "diff", "query"),
    "comparing": ("compare", "report"),
    "live": ("watch", "ui"),
    "studying": ("study", "pace"),
    "working": ("work", "queue", "launch"),
    "tuning": ("tune", "trial"),
    "listing": (
        "models",
        "datasets",
        "samplers",
        "metrics",
        "listeners",
        "compressors",
        "launchers",
        "presets",
        "info",
    ),
    "plugins": ("plugins",),
    "storing": ("store",),
    "doctor": ("doctor",),
}
"""Files of this folder and their commands, in the order in which ``--help`` shows them."""
HELP = ("-h", "--help")
FILES = "GENBENCH_FILES"
SETTINGS = ("genbench.toml", "pyproject.toml")


INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """Run the command line and exit with a documented code."""
    _quiet_interrupts()
    from genbench.cli.garbage import collect_rarely

    collect_rarely()
    sys.exit(_run(sys.argv[1:]))


def _quiet_interrupts() -> None:
    """End at once and silently on Ctrl-C, until the end of the process.

    Commands that have something to save handle the signal themselves meanwhile (`StopSignals`);
    the others lose no more than a kill would, which is nothing.
    """

    end = os._exit  # kept, because it is replaced while a plugin is imported

    def leave(number: int, frame: FrameType | None) -> None:
        end(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's "&" ignores it
        signal.signal(signal.SIGINT, leave)


def _run(given: list[str]) -> int:
    """Run a command line; return its exit code."""
    from genbench.cli import streams
    from genbench.cli.session import SESSION, complain

    streams.prepare()
    SESSION.opened = SESSION.files = None
    try:
        arguments = SESSION.take_global_options(given)
        with _files_address(SESSION.files):
            code = _carry_out(arguments)
        streams.finish()
    except streams.ReaderGoneError:
        return 0  # genbench query ... | head: not an error of ours
    except Exception as error:  # the last resort: whatever it is, a person reads a sentence
        if SESSION.debug:
            raise
        from genbench.cli.trouble import in_words

        told = in_words(error)
        complain(str(told))
        return told.exit_code
    return code


@contextmanager
def _files_address(given: str | None) -> Iterator[None]:
    """Let all stores, also those of child processes, have their files at the given address.

    ``--files`` comes before GENBENCH_FILES, and that before ``files`` in genbench.toml.
    """
    before = os.environ.get(FILES)
    address = given or before or _in_settings()
    try:
        if address:
            os.environ[FILES] = address
        yield
    finally:
        if before is None:
            os.environ.pop(FILES, None)
        else:
            os.environ[FILES] = before


def _in_settings() -> str | None:
    if not any(os.path.exists(name) for name in SETTINGS):  # noqa: PTH110 (pathlib isn't imported)
        return None
    from genbench.files.toml import files_address

    return files_address(SETTINGS)


def _carry_out(arguments: list[str]) -> int:
    from genbench.cli.completing import COMPLETE, command_line
    from genbench.cli.session import SESSION

    if SESSION.strict_plugins and not any(word in HELP for word in arguments):
        _ = SESSION.registry  # loaded even for a command that needs no plugin
    completed = COMPLETE in os.environ
    app = _app(command_line(os.environ) if completed else arguments)
    if not completed and (not arguments or arguments[0] in HELP):
        _leave_out_parameters(app)
    return _typer(app, arguments)


def _typer(app: typer.Typer, arguments: list[str]) -> int:
    """Let Typer execute a command line, and print what it says about a wrong one."""
    import io

    import typer

    from genbench.errors import UsageError
    from genbench.formatting import plain

    try:
        code = app(args=arguments, prog_name="genbench", standalone_mode=False)
    except typer.Abort:
        raise UsageError("no answer was given; nothing was done") from None
    except Exception as error:  # Typer's own click isn't public, and neither is its exception
        if not hasattr(error, "show") or not hasattr(error, "exit_code"):
            raise
        said = io.StringIO()
        error.show(file=said)
        print(plain(said.getvalue(), keep="\n"), end="", file=sys.stderr)
        return int(error.exit_code)
    return code if isinstance(code, int) else 0


def _app(arguments: list[str]) -> typer.Typer:
    """The command line; if its first word is a command, only with that command's group.

    Typer builds every option of every command it is given [some 20 ms for all groups].
    """
    from importlib import import_module

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
        a broken plugin, --files ADDRESS is where the files of runs are (a folder or an fsspec
        address).
        """

    command = arguments[0] if arguments else ""
    wanted = [group for group, names in GROUPS.items() if command in names]
    for group in wanted or GROUPS:
        module = import_module(f"genbench.cli.{group}")
        if hasattr(module, "group"):
            app.add_typer(module.group())
            continue
        for name in GROUPS[group]:
            app.command(name)(getattr(module, name if name != "import" else "import_"))
    return app


def _leave_out_parameters(app: typer.Typer) -> None:
    """Keep only the name and the help of each command: the list of commands shows no more.

    Typer would build every option of every command to print it [14 of 110 ms].
    """
    import inspect

    for command in app.registered_commands:
        command.help = command.help or inspect.getdoc(command.callback)
        command.callback = _nothing
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _leave_out_parameters(group.typer_instance)


def _nothing() -> None:
    """Replace a command of which only the help line is shown."""
