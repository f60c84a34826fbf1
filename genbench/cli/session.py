"""What one call of the command line carries: global options, the registry, the store's address.

Data goes to stdout, everything else (progress, logs, warnings, errors) to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from genbench.errors import GenbenchWarning, UsageError
from genbench.formatting import plain, visible, without_passwords

if TYPE_CHECKING:
    from genbench.registry import Registry

DEFAULT_STORE = "runs.db"


@dataclass
class Session:
    """The state of one call. ``verbosity``: -1 quiet, 0 normal, 1 verbose."""

    debug: bool = False
    strict_plugins: bool = False
    verbosity: int = 0
    files: str | None = None
    """The address that --files gives."""
    opened: str | None = None
    """The store that the command uses, once it has asked for it."""
    warned: set[str] = field(default_factory=set)

    def take_global_options(self, arguments: list[str]) -> list[str]:
        """Take out the options that may be anywhere (before a ``--``); return the rest."""
        end = arguments.index("--") if "--" in arguments else len(arguments)
        rest = []
        given = iter(arguments[:end])
        for argument in given:
            if argument == "--debug":
                self.debug = True
            elif argument == "--strict-plugins":
                self.strict_plugins = True
            elif argument in ("-q", "--quiet"):
                self.verbosity = -1
            elif argument in ("-v", "--verbose"):
                self.verbosity = 1
            elif argument == "--files" or argument.startswith("--files="):
                _, _, self.files = argument.partition("=")
                self.files = self.files or next(given, "")
                if not self.files:
                    raise UsageError("--files: expected a folder or an fsspec address")
            else:
                rest.append(argument)
        return rest + arguments[end:]

    @cached_property
    def registry(self) -> Registry:
        """The registry of the installed plugins; no target is imported.

        They are loaded when a command first asks for them; a broken one is then a line on stderr,
        and the command continues.
        """
        from genbench.registry import Registry

        warnings.showwarning = _show_warning
        registry = Registry.from_environment(strict=self.strict_plugins)
        for plugin in registry.broken:
            warn(f"plugin '{plugin.name}' ({plugin.owner}) is broken: {plugin.trouble}")
        return registry

    def store_url(self, given: str | None) -> str:
        """The store to use: ``--store``, else GENBENCH_STORE, else runs.db in this folder."""
        self.opened = given or os.environ.get("GENBENCH_STORE") or DEFAULT_STORE
        return self.opened


SESSION = Session()


def warn(message: str) -> None:
    """A warning on stderr."""
    _to_stderr(f"genbench: warning: {visible(without_passwords(message))}")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """genbench's own warnings as a line, once each; those of libraries as Python writes them."""
    if issubclass(category, GenbenchWarning):
        # Python forgets what it has shown whenever a library changes its filters, as torch does.
        if str(message) not in SESSION.warned:
            SESSION.warned.add(str(message))
            warn(str(message))
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text, end="", file=file or sys.stderr)


def complain(message: str) -> None:
    """An error on stderr."""
    _to_stderr(f"genbench: error: {visible(without_passwords(message))}")


def say(message: str) -> None:
    """A plain line on stderr, unless -q; on a terminal it breaks between words."""
    if SESSION.verbosity >= 0:
        _to_stderr(plain(without_passwords(message)))


def answer(text: str) -> None:
    """A line on stdout, without control characters; on a terminal it breaks between words."""
    print(_broken(plain(text), sys.stdout))


def _to_stderr(text: str) -> None:
    print(_broken(text, sys.stderr), file=sys.stderr, flush=True)


def _broken(text: str, stream: TextIO) -> str:
    """The text in lines that fit the terminal, if the stream is one."""
    if not stream.isatty():
        return text
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
