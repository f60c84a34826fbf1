"""Launchers: what a plugin implements to start workers on a cluster, and how it is called.

A launcher only starts workers. Which task runs where, and whether a worker is alive, is known from
the queue alone: the states that a scheduler tells are not asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from genbench.errors import UsageError
from genbench.registry import Registry
from genbench.settings import Settings, validate


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """The workers to start: ``count`` processes of ``command``, each with the same variables.

    The command ends by itself when the queue is empty; SIGINT stops it with checkpoints. ``folder``
    is for logs, and must be one that all machines share. They start in the current folder.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str]
    count: int
    folder: Path
    name: str = "genbench"


class Launcher(Protocol):
    """Starts workers. It is made with its settings, and imports what it needs when it is used."""

    def script(self, order: WorkOrder) -> str:
        """What would be started, as text for ``--dry-run``; nothing is started."""

    def start(self, order: WorkOrder) -> str:
        """Start the workers; return a sentence that says what was started and where it is seen.

        Raises UsageError, with what to install or to do, if that is not possible.
        """

    def stop(self) -> None:
        """Called when no worker is needed any more, in the process that has started them."""


def make_launcher(registry: Registry, name: str, values: Sequence[str]) -> Launcher:
    """The launcher of this name with ``key=value`` settings. Raises UsageError or PluginError."""
    given: dict[str, str] = {}
    for text in values:
        key, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"'{text}' is not a setting of a launcher; give KEY=VALUE")
        given[key.removeprefix(f"{name}.")] = value
    target = registry.target("launcher", name)
    settings = registry.settings("launcher", name) or Settings
    return cast(Launcher, target(validate(settings, given, owner=f"launcher '{name}'")))


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options that started workers get."""

    store: str
    batch: str | None = None
    devices: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def order(self, count: int, folder: Path) -> WorkOrder:
        """The order for so many workers."""
        command = [sys.executable, "-m", "genbench", "work", "--until-empty"]
        command += ["--batch", self.batch] if self.batch else []
        command += [word for device in self.devices for word in ("--device", device)]
        return WorkOrder(
            command=tuple(command),
            environ={**self.environ, "GENBENCH_STORE": self.store},
            count=count,
            folder=folder,
            name=(self.batch or "genbench").replace(":", "-"),
        )
