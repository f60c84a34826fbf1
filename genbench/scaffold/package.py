"""A new plugin package with tests that pass, as ``genbench plugins new`` writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from genbench.errors import UsageError
from genbench.hookspecs import CONTRACT_VERSION
from genbench.registry import Kind, Registry

CAPABILITIES: Mapping[Kind, tuple[str, ...]] = {
    "model": ("generates", "discriminates"),
    "sampler": ("generates",),
    "metric": ("generates",),
    "compressor": ("generates",),
}
TRY_IT: Mapping[Kind, str] = {
    "model": "genbench run {name} digits",
    "dataset": "genbench run vae {name}",
    "sampler": "genbench run vae digits --sampler {name}",
    "metric": "genbench run vae digits --metric {name}",
    "listener": "genbench run vae digits --listen {name}",
    "compressor": "genbench compress @1 --method {name}",
}


def new_plugin(name: str, kind: Kind, into: Path, registry: Registry) -> list[Path]:
    """Write the package ``genbench-NAME`` into a folder; return its files.

    Raises UsageError where the name can't be used, the package's folder is there already, or there
    is no template of the kind.
    """
    if kind not in TRY_IT:
        raise UsageError(
            f"there is no template for a {kind}; docs/plugins.md says what a {kind} is, and "
            f"--kind takes {', '.join(TRY_IT)}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"'{name}' can't be the name of a plugin; use lower-case letters, digits and single "
            "hyphens, such as ls-gan"
        )
    for taken in registry.of(kind):
        if taken.name == name:
            raise UsageError(f"{kind} '{name}' is already registered by {taken.owner}")
    folder = into / f"genbench-{name}"
    if folder.exists():
        raise UsageError(
            f"{folder} already exists; choose another name, or another folder with --into"
        )
    written = []
    for path, template in _layout(name, kind).items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_fill(template, name, kind), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"can't write {target}: {error.strerror}") from None
        written.append(target)
    return written


def _layout(name: str, kind: Kind) -> dict[str, str]:
    """The files of the package and the templates that they are filled from."""
    module = _module(name)
    return {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"src/{module}/__init__.py": "hook",
        f"src/{module}/settings.py": f"{kind}_settings",
        f"src/{module}/{kind}.py": kind,
        f"tests/test_{module}.py": "test",
    }


def _module(name: str) -> str:
    return f"genbench_{name.replace('-', '_')}"


def _fill(template: str, name: str, kind: Kind) -> str:
    text = (files("genbench.scaffold.templates") / f"{template}.tmpl").read_text(encoding="utf-8")
    words = name.split("-")
    capabilities = ", ".join(f'"{c}"' for c in CAPABILITIES.get(kind, ()))
    if len(CAPABILITIES.get(kind, ())) == 1:
        capabilities += ","
    return Template(text).substitute(
        name=name,
        kind=kind,
        module=_module(name),
        contract=CONTRACT_VERSION,
        distribution=f"genbench-{name}",
        cls="".join(word.capitalize() for word in words),
        title=" ".join(words).capitalize(),
        try_it=TRY_IT[kind].format(name=name),
        capabilities=f"\n        capabilities=({capabilities})," if capabilities else "",
    )
