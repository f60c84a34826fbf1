"""Commands that list what can be run: models, data sets, samplers, metrics, presets; and ``info``.

They read registrations and settings classes; no model is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.options import FormatOption, JsonOption
from genbench.cli.output import Format, print_json, print_table, record
from genbench.cli.session import SESSION, answer, warn

if TYPE_CHECKING:
    from genbench.registry import Kind, Registration
    from genbench.settings import Preset, SettingInfo


class KindOption(StrEnum):
    """The kinds by the names that ``--kind`` takes."""

    MODEL = "model"
    DATASET = "dataset"
    SAMPLER = "sampler"
    METRIC = "metric"
    LISTENER = "listener"
    COMPRESSOR = "compressor"
    LAUNCHER = "launcher"


_NEED = ("sampler", "metric", "compressor")
"""The kinds with capabilities that they need of a model, not their own."""


def _lister(kind: Kind, in_words: str) -> Callable[..., None]:
    def listing(format: FormatOption = Format.TABLE, json: JsonOption = False) -> None:
        found = [_head(registration) for registration in SESSION.registry.of(kind)]
        if json:
            print_json({f"{kind}s": found})
            return
        needs = "needs" if kind in _NEED else "capabilities"
        keys = ["name", "family", "summary", "capabilities", "source", "owner"]
        if kind in ("dataset", "listener", "launcher"):
            keys.remove("capabilities")
        for head, registration in zip(found, SESSION.registry.of(kind), strict=True):
            head["capabilities"] = _capabilities(registration)
        rows = [[_words(head[key]) for key in keys] for head in found]
        print_table([needs if k == "capabilities" else k for k in keys], rows, format=format)

    listing.__doc__ = f"List the {in_words}."
    return listing


models = _lister("model", "models")
datasets = _lister("dataset", "data sets")
samplers = _lister("sampler", "samplers")
metrics = _lister("metric", "metrics")
listeners = _lister("listener", "listeners")
compressors = _lister("compressor", "compressors")
launchers = _lister("launcher", "launchers")


def presets(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Only presets of this model.")
    ] = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """List the presets: published settings, named after their source."""
    from genbench.errors import PluginError

    registry = SESSION.registry
    models = [registry.get("model", model)] if model else list(registry.of("model"))
    found = []
    for registration in models:
        try:
            variants = registry.presets(registration.name)
        except PluginError as error:
            if model:
                raise
            warn(str(error))
            continue
        found += [{"model": registration.name, **_preset(preset)} for preset in variants]
    if json:
        print_json({"presets": found})
        return
    keys = ["model", "name", "datasets", "epochs", "batch_size", "source"]
    rows = [[_words(preset[key]) for key in keys] for preset in found]
    print_table(keys, rows, format=format, right=("epochs", "batch_size"))


def info(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a model, data set, sampler, metric, listener, compressor or preset."
        ),
    ],
    kind: Annotated[
        KindOption | None, typer.Option(help="Kind, if several things have this name.")
    ] = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show a model, data set, sampler, metric, listener or compressor, or a preset."""
    from genbench.settings import describe_settings

    registry = SESSION.registry
    of = [(model, preset) for model, preset in _presets() if preset.name == name]
    if of and kind is None and not _registered(name):
        _info_of_preset(name, of, json=json)
        return
    registration = _find(name, kind.value if kind else None)
    cls = registry.settings(registration.kind, name)
    settings = describe_settings(cls) if cls else ()
    variants = registry.presets(name) if registration.kind == "model" else ()
    if json:
        details = {
            "kind": registration.kind,
            **_head(registration),
            "argument": getattr(cls, "argument", None),
            "settings": [vars(setting) for setting in settings],
            "presets": [_preset(preset) for preset in variants],
        }
        print_json(details)
        return
    _print_head(registration)
    if argument := getattr(cls, "argument", None):
        print(f"  {name}:{argument.upper()} is {name} --set data.{argument}={argument.upper()}")
    _print_settings(settings, format)
    for preset in variants:
        _print_preset(preset)


def _registered(name: str) -> list[Registration]:
    """All registrations of that name."""
    from genbench.registry import KINDS

    registry = SESSION.registry
    return [found for kind in KINDS for found in registry.of(kind) if found.name == name]


def _presets() -> Iterator[tuple[str, Preset]]:
    """All presets with their models; those of a plugin that can't be loaded are left out."""
    from genbench.errors import PluginError

    for registration in SESSION.registry.of("model"):
        with suppress(PluginError):
            for preset in SESSION.registry.presets(registration.name):
                yield registration.name, preset


def _info_of_preset(name: str, of: Sequence[tuple[str, Preset]], *, json: bool) -> None:
    """A preset of one model or of several, as ``genbench run MODEL --preset NAME`` takes it."""
    if json:
        presets = [{"model": model, **_preset(preset)} for model, preset in of]
        print_json({"kind": "preset", "name": name, "presets": presets})
        return
    models = list(dict.fromkeys(model for model, _ in of))
    print(f"preset {name} ({', '.join(models)})")
    for model, preset in of:
        dataset = preset.datasets[0] if preset.datasets else "DATASET"
        print(f"\ngenbench run {model} {dataset} --preset {name}")
        _print_preset(preset)


def _find(name: str, kind: Kind | None) -> Registration:
    """The registration of a name of any kind. Raises UnknownNameError or UsageError."""
    from genbench.errors import UnknownNameError, UsageError
    from genbench.registry import KINDS

    registry = SESSION.registry
    if kind:
        return registry.get(kind, name)
    found = _registered(name)
    if not found:
        known = {registration.name for each in KINDS for registration in registry.of(each)}
        known |= {preset.name for _, preset in _presets()}
        see = "genbench models, datasets, samplers, metrics, compressors, presets"
        raise UnknownNameError("name", name, known, see=see)
    if len(found) > 1:
        kinds = " and a ".join(registration.kind for registration in found)
        raise UsageError(
            f"'{name}' is a {kinds}; choose one with --kind, such as --kind {found[0].kind}"
        )
    return found[0]


# --- records as rows


def _head(registration: Registration) -> dict[str, Any]:
    names = ("name", "summary", "family", "capabilities", "optional", "default_sampler", "source")
    return record(registration, *names, "owner")


def _capabilities(registration: Registration) -> str:
    """The capabilities that it has, and those that depend on a setting."""
    given = [f"{name} (by a setting)" for name in registration.optional]
    return ", ".join([*registration.capabilities, *given])


def _preset(preset: Preset) -> dict[str, Any]:
    names = ("name", "source", "datasets", "epochs", "batch_size", "seed")
    return record(preset, *names, "settings", "data", "note")


def _words(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _print_head(registration: Registration) -> None:
    about = f": {registration.summary}" if registration.summary else ""
    answer(f"{registration.kind} {registration.name}{about}")
    lines: Mapping[str, str] = {
        "family": registration.family,
        "source": registration.source,
        "needs" if registration.kind in _NEED else "can": _capabilities(registration),
        "sampler": registration.default_sampler or "",
        "owner": registration.owner,
    }
    for label, text in lines.items():
        if text:
            answer(f"  {label:<7} {text}")


def _print_settings(settings: tuple[SettingInfo, ...], format: Format) -> None:
    if not settings:
        print("\nNo settings.")
        return
    rows = [
        [s.name, s.type, "(required)" if s.required else _typed(s.default), s.bounds, s.help]
        for s in settings
    ]
    of_drawing = ", ".join(s.name for s in settings if s.of_drawing)
    print("\nSettings (--set name=value):")
    print_table(["name", "type", "default", "bounds", "help"], rows, format=format)
    if of_drawing:
        answer(
            f"For a trained run, sample and evaluate take --set model.NAME=VALUE of: {of_drawing}"
        )


def _print_preset(preset: Preset) -> None:
    on = f" on {_words(preset.datasets)}" if preset.datasets else ""
    answer(f"--preset {preset.name}{on}: {preset.source}")
    shown = {"epochs": preset.epochs, "batch_size": preset.batch_size, "seed": preset.seed}
    values = {**{k: v for k, v in shown.items() if v is not None}, **preset.settings}
    values |= {f"data.{key}": value for key, value in preset.data.items()}
    if values:
        answer("  " + ", ".join(f"{key}={_typed(value)}" for key, value in values.items()))
    if preset.note:
        answer(f"  {preset.note}")


def _typed(value: Any) -> str:
    """A value as one would type it after ``--set name=``."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_typed(item) for item in value) + "]"
    return str(value)
