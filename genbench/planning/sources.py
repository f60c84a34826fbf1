"""Where the settings of a run come from: --set, the environment, a preset (files: files.py).

Each source becomes a `Layer`; `genbench.planning.resolve` lays them over one another and
validates what is on top.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, field_validator
from pydantic.fields import FieldInfo

from genbench.errors import PluginError, SettingError, UnknownNameError, suggest
from genbench.registry import Kind, Registry
from genbench.settings import (
    CompressorSettings,
    DatasetSettings,
    ModelSettings,
    Preset,
    Settings,
    drawing_settings,
)
from genbench.spec import DEVICE, RunFields, device_names

SECTIONS: Mapping[str, Kind] = {
    "model": "model",
    "data": "dataset",
    "sampler": "sampler",
    "metric": "metric",
    "listener": "listener",
    "compressor": "compressor",
}
"""The tables of a file and the prefixes of ``--set``."""


def _names(value: Any) -> Any:
    return split_names(value) if isinstance(value, str) else value


def split_names(text: str) -> list[str]:
    """Split names at commas, except within brackets, braces and quotes.

    >>> split_names("plain, ddls[eps=0.1,steps=5]")
    ['plain', 'ddls[eps=0.1,steps=5]']
    """
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        depth += {"[": 1, "]": -1, "{": 1, "}": -1}.get(char, 0) if not quote else 0
        if char == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def named_settings(text: str) -> tuple[str, dict[str, str]]:
    """A part's name and the settings in brackets after it, as typed.

    >>> named_settings("ddls[eps=0.1,steps=5]")
    ('ddls', {'eps': '0.1', 'steps': '5'})

    Raises SettingError where the brackets hold something else.
    """
    name, bracket, rest = text.strip().partition("[")
    if not bracket:
        return name, {}
    if not rest.endswith("]"):
        raise SettingError(f"{text}: expected NAME[setting=value,...], such as ddls[eps=0.01]")
    given = {}
    for one in split_names(rest[:-1]) if rest[:-1].strip() else ():
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise SettingError(f"{text}: expected setting=value within the brackets, not '{one}'")
        given[key.strip()] = value.strip()
    return name.strip(), given


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class RunSettings(Settings, RunFields):  # type: ignore[misc]  # both are frozen
    """The fields of a run with its parts and its preset, as settings that are typed in."""

    samplers: Names | None = None
    metrics: Names | None = None
    listeners: Names | None = None
    preset: str | None = None

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str) -> str:
        if not re.fullmatch(DEVICE, name):
            raise ValueError(
                "a device is one of auto, cpu, cuda, cuda:N (a number), mps; several for one "
                "run are cuda:0,1 or cpu:0,1"
            )
        if len({*device_names(name)}) < len(device_names(name)):
            raise ValueError("it names a device twice; name each of them once")
        return name


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one source says. ``settings`` maps (kind, name) to that part's values."""

    source: str
    run: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[tuple[Kind, str], Mapping[str, Any]] = field(default_factory=dict)


_BASES: Mapping[Kind, type[Settings]] = {
    "dataset": DatasetSettings,
    "compressor": CompressorSettings,
}
"""What the settings of a kind must be, where it is more than `Settings`."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The run that the sources apply to: its parts, and the registry.

    A setting without a prefix is one of the compressor, for a run that compresses another one. If
    the run is ``trained``, only its sampling settings can still change.
    """

    registry: Registry
    model: str
    dataset: str
    compressor: str | None = None
    trained: bool = False

    @property
    def main(self) -> tuple[Kind, str]:
        """The part that a setting without a prefix belongs to."""
        return ("compressor", self.compressor) if self.compressor else ("model", self.model)

    def settings(self, kind: Kind, name: str) -> type[Settings]:
        """The settings class of a part; an empty one where it has none of its own."""
        found = self.registry.settings(kind, name)
        owner = self.registry.get(kind, name).owner
        if found is None:
            if kind == "dataset":
                raise PluginError(
                    f"data set '{name}' of {owner} has no settings class; register it with "
                    "settings='module:Class', a genbench.DatasetSettings that describes it"
                )
            return ModelSettings if kind == "model" else _BASES.get(kind, Settings)
        wanted = _BASES.get(kind, Settings)
        if not (isinstance(found, type) and issubclass(found, wanted)):
            raise PluginError(
                f"the settings of {kind} '{name}' ({owner}) are not a genbench.{wanted.__name__}"
            )
        return found

    def current(self, kind: Kind) -> str | None:
        """The part that a table or prefix without a name means."""
        names = {"model": self.model, "dataset": self.dataset, "compressor": self.compressor}
        return names.get(kind)


# --- --set and the environment ----------------------------------------------------------------


def from_sets(sets: Sequence[str], scope: Scope) -> Layer:
    """``k=v`` texts: a model setting, else a run field; or dotted (``data.size``, ``run.seed``)."""
    run: dict[str, Any] = {}
    settings: dict[tuple[Kind, str], dict[str, Any]] = {}
    for text in sets:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise SettingError(f"--set {text}: expected name=value, such as --set z_dim=20")
        part, key = _target(path.strip(), scope)
        if part is None:
            run[key] = literal(value, RunSettings.model_fields.get(key))
        else:
            known = scope.settings(*part).model_fields
            settings.setdefault(part, {})[key] = literal(value, known.get(key))
    return Layer(source="--set", run=run, settings=settings)


def _target(path: str, scope: Scope) -> tuple[tuple[Kind, str] | None, str]:
    """What a --set path means: (kind, name) or None for the run, and the key."""
    prefix, _, rest = path.partition(".")
    if not rest:
        known = scope.settings(*scope.main).model_fields
        if path in RunSettings.model_fields and path not in known:
            return None, path
        if path not in known:
            may = {*known, *RunSettings.model_fields}
            if scope.trained:
                may = set(drawing_settings(scope.settings(*scope.main)))
            what = "{} '{}' has no {}setting".format(*scope.main, "sampling " * scope.trained)
            raise SettingError(f"--set: {what} '{path}'{suggest(path, may)}")
        return scope.main, path
    if prefix == "run":
        return None, rest
    if prefix not in SECTIONS:
        hint = suggest(prefix, [*SECTIONS, "run"])
        raise SettingError(f"--set {path}: unknown prefix '{prefix}'{hint}")
    kind = SECTIONS[prefix]
    name = scope.current(kind)
    if name is None:
        name, _, rest = rest.partition(".")
        scope.registry.get(kind, name)
        if not rest:
            raise SettingError(f"--set {path}: expected {prefix}.NAME.setting=value")
    return (kind, name), rest


def setting_of(path: str, scope: Scope) -> FieldInfo | None:
    """The field that a --set path means; None if there is none, which `from_sets` reports."""
    part, key = _target(path, scope)
    fields = RunSettings.model_fields if part is None else scope.settings(*part).model_fields
    return fields.get(key)


def from_environment(environ: Mapping[str, str]) -> Layer:
    """``GENBENCH_EPOCHS`` and so on: one variable for each field of a run, except the preset."""
    run = {}
    for name, info in RunSettings.model_fields.items():
        text = environ.get(f"GENBENCH_{name.upper()}")
        if text is not None and text.strip() and name != "preset":
            run[name] = literal(text, info)
    return Layer(source="the environment", run=run)


def literal(text: str, info: FieldInfo | None = None) -> Any:
    """A typed-in value: none/null, true/false, numbers, lists as in TOML; otherwise text.

    A field that takes text but no number gets the text unchanged: a folder named 2024.
    """
    stripped = text.strip()
    if stripped.lower() in ("none", "null"):
        return None
    if stripped.lower() in ("true", "false"):
        stripped = stripped.lower()
    try:
        parsed = tomllib.loads(f"value = {stripped}\n")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed.pop("value")
    if parsed or not isinstance(value, (str, bool, int, float, list, dict)):
        return text
    if not isinstance(value, str) and info is not None and takes_only_text(info.annotation):
        return text
    return value


def takes_only_text(annotation: Any) -> bool:
    """Whether a setting takes any text, and nothing but text or None."""
    kinds = set(get_args(annotation) or (annotation,)) - {NoneType}
    return kinds <= {str, Path}


# --- presets ----------------------------------------------------------------------------------


def choose_preset(name: str, scope: Scope) -> tuple[Preset, str | None]:
    """The variant of a preset for this data set; if there is none, its first one with a note.

    Raises UnknownNameError.
    """
    presets: tuple[Preset, ...] = scope.registry.presets(scope.model)
    variants = [preset for preset in presets if preset.name == name]
    if not variants:
        known = {preset.name for preset in presets}
        see = f"genbench info {scope.model}"
        raise UnknownNameError(f"preset of model '{scope.model}':", name, known, see=see)
    for preset in variants:
        if scope.dataset in preset.datasets or not preset.datasets:
            return preset, None
    made_for = ", ".join(dict.fromkeys(data for preset in variants for data in preset.datasets))
    which = f" as on {variants[0].datasets[0]}" if len(variants) > 1 else ""
    note = f"preset '{name}' is for {made_for}; using it{which} on {scope.dataset}"
    return variants[0], note


def from_preset(preset: Preset, scope: Scope) -> Layer:
    """A preset as a layer."""
    run = {
        name: value
        for name in ("epochs", "batch_size", "seed")
        if (value := getattr(preset, name)) is not None
    }
    settings: dict[tuple[Kind, str], Mapping[str, Any]] = {("model", scope.model): preset.settings}
    if preset.data:
        settings["dataset", scope.dataset] = preset.data
    return Layer(source=f"preset '{preset.name}'", run=run, settings=settings)
