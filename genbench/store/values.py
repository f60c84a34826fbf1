"""Conversion of values for columns: NaN and infinities, times, and settings as rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

FINITE, NAN, INFINITE, NEGATIVE_INFINITE = 0, 1, 2, 3
"""Values of the column ``nonfinite``: SQLite stores NaN as NULL, so this keeps the reason."""


def split(value: float | None) -> tuple[float | None, int]:
    """The value for a column, and its flag: (None, NAN) for NaN."""
    if value is None or math.isfinite(value):
        return (None if value is None else float(value)), FINITE
    if math.isnan(value):
        return None, NAN
    return None, INFINITE if value > 0 else NEGATIVE_INFINITE


def now() -> str:
    """The current UTC time in ISO 8601 with microseconds, which sorts by time as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def seconds_since(moment: str) -> float:
    """Seconds from a stored time to now, by the clock of this machine."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def flat_params(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a RunSpec under flat names: ``epochs``, ``model.lr``, ``sampler.drs.gamma``.

    A second part with the same name is called ``drs#2``.
    """
    params: dict[str, Any] = {}
    for name, value in spec.items():
        if name in ("version", "parents", "parent_experiments"):
            continue
        if name == "compressors" and not value:
            continue
        if name in ("samplers", "metrics", "compressors"):
            params.update(_flat_parts(name, value))
        elif isinstance(value, Mapping):
            params.update(_flat(name.removesuffix("_settings"), value))
        else:
            params[name] = value
    return params


def _flat_parts(kind: str, parts: Any) -> Iterator[tuple[str, Any]]:
    labels: list[str] = []
    for part in parts:
        earlier = sum(label.partition("#")[0] == part["name"] for label in labels)
        label = f"{part['name']}#{earlier + 1}" if earlier else part["name"]
        labels.append(label)
        yield from _flat(f"{kind.removesuffix('s')}.{label}", part["settings"])
    yield kind, ",".join(labels)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}", value


def param_value(num: float | None, text: str | None) -> Any:
    """The value for the columns of `param_columns`; text that begins with "[" is a JSON list."""
    if text is None or (num is None and not text.startswith("[")):
        return text
    return json.loads(text)


def param_columns(value: Any) -> tuple[float | None, str | None]:
    """(num, text) for run_params: numbers and booleans have both, a list is JSON, None is NULL."""
    if value is None:
        return None, None
    if isinstance(value, str):
        return None, value
    num = float(value) if isinstance(value, (bool, int, float)) else None
    return split(num)[0], json.dumps(value)
