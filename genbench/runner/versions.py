"""Compare the versions of the plugins of a run with the installed ones, without importing torch.

Another version of a model or a sampler may give other numbers from the same settings and weights.
So each command on a stored run warns first if versions differ, and names the package to install if
a part is missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

from genbench.errors import GenbenchWarning, PluginError
from genbench.events import Evaluated
from genbench.registration.installed import PluginInfo
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.store import PartVersion, Store

Name = tuple[str, str]
"""The kind of a part ("model", "dataset", "sampler", "metric", "compressor") and its name."""


def names_in(spec: RunSpec) -> tuple[Name, ...]:
    """The distinct parts of a spec: model, data set, compressors, samplers and metrics."""
    found: list[Name] = [*names_to_load(spec)]
    found += [("sampler", part.name) for part in spec.samplers]
    found += [("metric", part.name) for part in spec.metrics]
    return tuple(dict.fromkeys(found))


def names_to_load(spec: RunSpec) -> tuple[Name, ...]:
    """The distinct parts of a spec that its model is loaded with."""
    compressors = (("compressor", part.name) for part in spec.compressors)
    return tuple(dict.fromkeys((("model", spec.model), ("dataset", spec.dataset), *compressors)))


def installed(names: Iterable[Name], registry: Registry) -> tuple[PartVersion, ...]:
    """The installed versions of parts; a part that is not installed is left out."""
    found = []
    for kind, name in names:
        owner = _owner(kind, name, registry)
        if owner is not None:
            distribution, version = owner.distribution, owner.version
            found.append(
                PartVersion(kind=kind, name=name, distribution=distribution, version=version)
            )
    return tuple(found)


def check_versions(
    store: Store, run_id: str, registry: Registry, names: Iterable[Name] | None = None
) -> list[str]:
    """Compare the installed versions of the parts of a run (None: all) with the stored ones.

    Warns (`GenbenchWarning`) once for each distribution that differs, and returns descriptions such
    as "genbench-lsgan 0.2.0, the run had genbench-lsgan 0.1.0". A run from an old store, without
    versions, passes. Raises PluginError if a part isn't installed, with the command that installs
    it.
    """
    wanted = None if names is None else set(names)
    stored: dict[Name, list[PartVersion]] = {}
    for part in store.plugins(run_id):
        if wanted is None or (part.kind, part.name) in wanted:
            stored.setdefault((part.kind, part.name), []).append(part)
    others: set[tuple[str, str]] = set()
    for (kind, name), versions in stored.items():
        here = _owner(kind, name, registry)
        if here is None:
            raise _gone(run_id, versions[-1], registry)
        if (here.distribution, here.version) not in [(v.distribution, v.version) for v in versions]:
            theirs = " and ".join(_owned(v.distribution, v.version) for v in versions)
            others.add((here.owner, theirs))
    for ours, theirs in sorted(others):
        _warn(run_id, ours, theirs)
    return [f"{ours}, the run had {theirs}" for ours, theirs in sorted(others)]


def with_versions(evaluated: Evaluated, differing: Sequence[str]) -> Evaluated:
    """The record with the differing versions in the protocols of its scores.

    So these scores are never ranked together with scores of the versions that the run had.
    """
    if not differing:
        return evaluated
    versions = {"plugins": sorted(differing)}
    scores = (replace(s, protocol={**s.protocol, **versions}) for s in evaluated.scores)
    return replace(evaluated, scores=tuple(scores))


_KINDS: dict[str, str] = {
    "model": "model",
    "dataset": "data set",
    "sampler": "sampler",
    "metric": "metric",
    "compressor": "compressor",
}


def _owner(kind: str, name: str, registry: Registry) -> PluginInfo | None:
    for info in registry.plugins:
        if not info.error and f"{kind} {name}" in info.names:
            return info
    return None


def _owned(distribution: str, version: str) -> str:
    return f"{distribution} {version}".strip()


def _warn(run_id: str, ours: str, theirs: str) -> None:
    same = theirs.split(" and ")[-1].replace(" ", "==")
    message = (
        f"run {run_id} was made with {theirs}, but {ours} is installed, so numbers may "
        f"differ. To install the same version: pip install '{same}'"
    )
    # Python shows a warning once for each text and place, so all warnings come from this place.
    warnings.warn(message, GenbenchWarning, stacklevel=1)


def _gone(run_id: str, part: PartVersion, registry: Registry) -> PluginError:
    owner = _owned(part.distribution, part.version)
    there = [info for info in registry.plugins if info.distribution == part.distribution]
    what = f"run {run_id} was made with {_KINDS[part.kind]} '{part.name}' of {owner}"
    hint = f"to install it: pip install '{owner.replace(' ', '==')}'"
    for info in there:
        if info.disabled:
            return PluginError(f"{what}, which is disabled by {info.disabled}; unset it")
        if info.error:
            broken = f"{info.owner} is installed and broken ({info.error})"
            return PluginError(f"{what}; {broken}; {hint}")
    if there:
        return PluginError(f"{what}; {there[0].owner}, which is installed, doesn't have it; {hint}")
    return PluginError(f"{what}, which is not installed; {hint}")
