"""The listeners of ``resume`` and ``rerun``: those of the run, unless others are named.

They decide no number, so they are not in the spec. A file in the folder of the run keeps them; it
is not exported with the run, so that nobody sends runs to the addresses of a stranger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from genbench.errors import UnknownNameError, UsageError
from genbench.files.writing import write_text
from genbench.planning.resolve import resolve_parts, without_none
from genbench.planning.sources import split_names
from genbench.registry import Registry
from genbench.spec import Part, RunSpec

FILE = "listeners.json"


def listeners_for(
    names: Sequence[str],
    folder: Path,
    spec: RunSpec,
    registry: Registry,
    environ: Mapping[str, str],
) -> tuple[Part, ...]:
    """The listeners that are named, else those of the run in ``folder``, else GENBENCH_LISTENERS.

    Raises UsageError, also where one of the run's own isn't installed any more.
    """
    kept = None if names else kept_listeners(folder)
    if kept is None:
        chosen = names or split_names(environ.get("GENBENCH_LISTENERS", ""))
        wanted = [name for name in without_none(chosen) if name]
        return resolve_parts("listener", wanted, (), registry, spec)
    for part in kept:
        try:
            registry.get("listener", part.name)
        except UnknownNameError as error:
            raise UsageError(
                f"the run was sent to listener '{part.name}', which isn't installed",
                hint="Install its plugin, or choose listeners with --listen (--listen none: none)",
            ) from error
    return kept


def keep_listeners(folder: Path, parts: Sequence[Part]) -> None:
    """Write the listeners of a run into its folder; one that never had any gets no file."""
    path = folder / FILE
    if parts or path.exists():
        write_text(path, json.dumps([asdict(part) for part in parts], indent=1))


def kept_listeners(folder: Path) -> tuple[Part, ...] | None:
    """The listeners that a run had; None if it never had any. Raises UsageError."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = [(str(part["name"]), dict(part["settings"])) for part in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        hint = "Remove it, or choose listeners with --listen (--listen none: none)"
        raise UsageError(f"{path} is damaged: {error}", hint=hint) from error
    return tuple(Part(name=name, settings=settings) for name, settings in found)
