"""A planned run as a settings file: what ``run --dry-run --format toml`` prints for ``--config``.

Every setting is in it, defaults too, so that a run from it is the same experiment in any folder and
with any later defaults. TOML has no null: None is the text "none", which `files.from_file` takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genbench import __version__
from genbench.planning.sources import RunSettings
from genbench.spec import Part, RunSpec


def as_toml(spec: RunSpec) -> str:
    """The file. A preset is only named in a comment: as a setting it would overrule the file."""
    return "\n".join(_lines(spec)) + "\n"


def _lines(spec: RunSpec) -> Iterator[str]:
    argument = spec.dataset if spec.dataset.isidentifier() else json.dumps(spec.dataset)
    yield f"# genbench {__version__}, experiment {spec.experiment}, digest {spec.digest}"
    yield f"# genbench run {spec.model} {argument} --config FILE"
    if spec.preset:
        yield f"# The settings began as those of preset {json.dumps(spec.preset)}."
    for name in RunSettings.model_fields:
        if name not in ("samplers", "metrics", "listeners", "preset"):
            yield f"{name} = {value_of(getattr(spec, name))}"
    sections: list[tuple[str, Mapping[str, Any]]] = [
        (f"model.{_key(spec.model)}", spec.model_settings),
        (f"data.{_key(spec.dataset)}", spec.dataset_settings),
    ]
    for kind, parts in (("sampler", spec.samplers), ("metric", spec.metrics)):
        names = [part.name for part in parts]
        if len(set(names)) == len(names):
            sections += [(f"{kind}.{_key(part.name)}", part.settings) for part in parts]
            yield f"{kind}s = {value_of(names)}"
        else:
            yield f"{kind}s = {value_of([_bracketed(part) for part in parts])}"
    for title, settings in sections:
        if settings:
            yield f"\n[{title}]"
            yield from (f"{_key(name)} = {value_of(v)}" for name, v in settings.items())


def _bracketed(part: Part) -> str:
    """A part with a name that occurs twice has its settings beside it: ddls[eps=0.1,steps=5]."""
    settings = ",".join(f"{name}={_typed(value)}" for name, value in part.settings.items())
    return f"{part.name}[{settings}]"


def _typed(value: Any) -> str:
    return "none" if value is None else value_of(value)


def value_of(value: Any) -> str:
    """A value in TOML; a text is quoted, so that "none" is a text and not None."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(k))} = {value_of(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(value_of, value))}]"
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value_of(name)
