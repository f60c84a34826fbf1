"""The listeners of a run that has a spec already: those of ``resume`` and ``rerun``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.planning.resolve import resolve_parts
from genbench.planning.sources import split_names
from genbench.registry import Registry
from genbench.spec import Part, RunSpec


def listeners_for(
    names: Sequence[str], spec: RunSpec, registry: Registry, environ: Mapping[str, str]
) -> tuple[Part, ...]:
    """The listeners that are named, else those of GENBENCH_LISTENERS. Raises UsageError."""
    chosen = names or [n for n in split_names(environ.get("GENBENCH_LISTENERS", "")) if n]
    return resolve_parts("listener", chosen, (), registry, spec)
