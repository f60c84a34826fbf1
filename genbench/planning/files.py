"""Settings of a run from a TOML file: ``--config FILE``, genbench.toml, [tool.genbench].

A file holds, at its top level or under ``[tool.genbench]`` of a pyproject.toml::

    files = "s3://bucket/bench" # where the files of runs are, as --files
    epochs = 3                  # run fields: see genbench.planning.sources.RunSettings
    samplers = ["plain"]
    [model]                     # the model of this run, whichever it is
    z_dim = 20
    [model.vae]                 # only where vae is run
    [data.digits]
    [sampler.plain]
    [metric.fid]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from genbench.errors import SettingError, suggest
from genbench.files.toml import read_settings
from genbench.planning.sources import SECTIONS, Layer, RunSettings, Scope
from genbench.registry import Kind


def from_file(path: Path, scope: Scope) -> Layer:
    """A TOML file given by ``--config``. Raises UsageError where it can't be read."""
    return _from_table(read_settings(path), str(path), scope)


def from_folder(folder: Path, scope: Scope) -> Layer:
    """``genbench.toml`` of a folder, else ``[tool.genbench]`` of its pyproject.toml."""
    for name in ("genbench.toml", "pyproject.toml"):
        if (folder / name).is_file():
            layer = from_file(folder / name, scope)
            return Layer(source=name, run=layer.run, settings=layer.settings)
    return Layer(source="genbench.toml")


def _from_table(values: Mapping[str, Any], source: str, scope: Scope) -> Layer:
    run: dict[str, Any] = {}
    settings: dict[tuple[Kind, str], dict[str, Any]] = {}
    for key, value in values.items():
        if key in SECTIONS and isinstance(value, Mapping):
            _add_section(SECTIONS[key], key, value, source, scope, settings)
        elif key == "files":
            if not isinstance(value, str):
                raise SettingError(f"{source}: files: expected a folder or an fsspec address")
        elif key in RunSettings.model_fields:
            run[key] = _none(value, RunSettings.model_fields[key])
        else:
            hint = suggest(key, [*RunSettings.model_fields, *SECTIONS])
            raise SettingError(f"{source}: unknown key '{key}'{hint}")
    return Layer(source=source, run=run, settings=settings)


def _add_section(
    kind: Kind,
    section: str,
    values: Mapping[str, Any],
    source: str,
    scope: Scope,
    settings: dict[tuple[Kind, str], dict[str, Any]],
) -> None:
    """Take ``[section]`` (this run's part) and ``[section.NAME]``; the latter is laid on top."""
    names = {registration.name for registration in scope.registry.of(kind)}
    current = scope.current(kind)
    plain = {k: v for k, v in values.items() if not (k in names and isinstance(v, Mapping))}
    if current is None and plain:
        unknown = next(iter(plain))
        hint = suggest(unknown, names)
        raise SettingError(f"{source}: [{section}.{unknown}]: unknown {kind} '{unknown}'{hint}")
    if current is not None and plain:
        known = scope.settings(kind, current).model_fields
        for key, value in plain.items():
            if key not in known:
                table = isinstance(value, Mapping)
                where = f"[{section}.{key}]" if table else f"[{section}] {key}"
                hint = suggest(key, names if table else known)
                raise SettingError(
                    f"{source}: {where}: {kind} '{current}' has no such setting{hint}"
                )
        _lay_over(settings, (kind, current), plain, scope)
    for name in names & set(values):
        if isinstance(values[name], Mapping):
            _lay_over(settings, (kind, name), values[name], scope)


def _lay_over(
    settings: dict[tuple[Kind, str], dict[str, Any]],
    part: tuple[Kind, str],
    values: Mapping[str, Any],
    scope: Scope,
) -> None:
    """Lay a table's values over those of the part; "none" is None where a setting may be None."""
    known = scope.settings(*part).model_fields if "none" in values.values() else {}
    taken = {key: _none(value, known.get(key)) for key, value in values.items()}
    settings.setdefault(part, {}).update(taken)


def _none(value: Any, info: FieldInfo | None) -> Any:
    """TOML has no null, so a file says "none"."""
    is_none = value == "none" and info is not None and NoneType in get_args(info.annotation)
    return None if is_none else value
