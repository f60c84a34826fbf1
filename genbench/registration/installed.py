"""The plugins that are installed: their entry points, and what is known of each once loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    requires,
)
from importlib.util import find_spec
from pathlib import Path

from genbench import __version__
from genbench.hookspecs import CONTRACT, CONTRACT_VERSION, HOOKS, PROJECT
from genbench.registration.importing import SLOW, Cost, foreign_code

GROUP = "genbench"
BUILTIN = "genbench"


@dataclass(frozen=True, kw_only=True)
class PluginInfo:
    """An installed plugin and how loading it went; ``error`` None means it works.

    ``disabled`` says which variable keeps it out. ``remarks`` are sentences on what works but
    isn't right, ``seconds`` what its import took. ``trace`` is the traceback, for --debug.
    """

    name: str
    distribution: str
    version: str
    module: str
    builtin: bool = False
    names: tuple[str, ...] = ()
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()
    error: str | None = None
    hint: str = ""
    trace: str = field(default="", repr=False)
    disabled: str | None = None

    @property
    def owner(self) -> str:
        """The plugin in messages: 'genbench-lsgan 0.1.0'."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def status(self) -> str:
        """How it is, in one word."""
        if self.error or self.disabled:
            return "broken" if self.error else "disabled"
        return "ok" if self.names else "empty"

    @property
    def trouble(self) -> str:
        """What is wrong with it and what to do; empty where all is well."""
        if self.error:
            return f"{self.error}; {self.hint}"
        return f"left out by {self.disabled}" if self.disabled else "; ".join(self.remarks)


def installed_plugins() -> list[EntryPoint]:
    """The entry points of all plugins, the built-in ones first, then by name."""
    points = _unique(entry_points(group=GROUP))
    return sorted(points, key=lambda point: (not is_builtin(point), point.name))


def describe(point: EntryPoint) -> PluginInfo:
    """What is known of a plugin before it is loaded."""
    distribution, version = _distribution(point)
    return PluginInfo(
        name=point.name,
        distribution=distribution,
        version=version,
        module=point.value,
        builtin=is_builtin(point),
    )


def is_builtin(point: EntryPoint) -> bool:
    """Whether a plugin comes with genbench."""
    return _distribution(point)[0] == BUILTIN


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that an entry point comes from."""
    return _name_and_version(point.dist) if point.dist else (point.name, "")


@cache
def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    # Each access to a distribution's name parses its METADATA again [0.3 ms].
    metadata = distribution.metadata
    return metadata["Name"], metadata["Version"]


def _unique(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Entry points without repetition: an editable install can list a distribution twice."""
    return list({(p.name, p.value, _distribution(p)[0]): p for p in points}.values())


# --- the version of the contract ---------------------------------------------------------------


def contract_fault(plugin: object) -> str | None:
    """Why this genbench can't take a plugin that is imported; None where it can."""
    declared = getattr(plugin, CONTRACT, None)
    if declared is None:
        return None
    if not isinstance(declared, int):
        return f"{CONTRACT} is {declared!r}; it must be a whole number, such as {CONTRACT_VERSION}"
    return _too_new(declared)


def contract_fault_unread(point: EntryPoint) -> str | None:
    """The contract fault of a plugin that fails to import, read from its source, if it has one."""
    try:
        with foreign_code():  # a package above the module is imported by this
            spec = find_spec(point.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except (Exception, SystemExit):
        return None
    declared = re.search(rf"^{CONTRACT}\s*(?::\s*int\s*)?=\s*(\d+)", source, re.MULTILINE)
    return _too_new(int(declared[1])) if declared else None


def _too_new(contract: int) -> str | None:
    if contract <= CONTRACT_VERSION:
        return None
    return (
        f"it needs a newer genbench, with contract {contract}; genbench {__version__} has contract "
        f"{CONTRACT_VERSION}"
    )


def later(info: PluginInfo) -> str:
    """What to do about a plugin that needs a newer genbench."""
    return f"pip install --upgrade '{_asked(info.distribution)}', or install an earlier {info.name}"


def _asked(distribution: str) -> str:
    """What a distribution asks for of genbench, such as 'genbench>=0.2'."""
    try:
        needs = requires(distribution) or []
    except PackageNotFoundError:
        needs = []
    own = [need for need in needs if re.match(rf"{BUILTIN}(?![\w.-])", need)]
    return own[0].split(";")[0].strip() if own else BUILTIN


# --- what works but isn't right ----------------------------------------------------------------


def remarks_on(plugin: object, names: Iterable[str], cost: Cost) -> tuple[str, ...]:
    """What the author of a plugin that was loaded should know, a sentence each."""
    remarks = []
    unmarked = [
        hook
        for hook in HOOKS
        if callable(found := getattr(plugin, hook, None)) and not hasattr(found, f"{PROJECT}_impl")
    ]
    if unmarked:
        hooks = ", ".join(unmarked)
        remarks.append(f"{hooks} isn't marked with @genbench.hookimpl, so it is not used")
    elif not list(names):
        remarks.append(
            "it registers nothing: a hook is a function such as genbench_register_models, marked "
            "with @genbench.hookimpl, in the module that the entry point names"
        )
    if cost.heavy or cost.seconds > SLOW:
        loads = f" and loads {', '.join(cost.heavy)}" if cost.heavy else ""
        remarks.append(
            f"its import takes {cost.seconds:.1f} s{loads}, in every command; move slow imports to "
            "the module of a target, which is imported only when it is used"
        )
    return tuple(remarks)
