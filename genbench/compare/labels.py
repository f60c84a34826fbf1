"""Trials as rows: grouped by experiment and sampler, and told apart by what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genbench.compare.experiments import Contender, Trial, Variant, samplers_of

SHOWN_SETTINGS = 4
"""Settings in a contender's label, at most."""

_NO_DIFFERENCE = (
    "evaluate_every",
    "sample_every",
    "log_every",
    "metrics",
    "seed",
    "preset",
    "parents",
    "parent_experiments",
)
"""Fields of a spec that don't change what is trained."""


def contenders(trials: Iterable[Trial]) -> list[Contender]:
    """Group trials: one contender for each variant of an experiment and each of its samplers."""
    groups: dict[tuple[Variant, str], list[Trial]] = {}
    for trial in trials:
        for sampler in samplers_of(trial):
            groups.setdefault((trial.variant, sampler), []).append(trial)
    made = [
        Contender(trials=tuple(sorted(g, key=lambda t: (t.seed, t.created_at))), sampler=sampler)
        for (_, sampler), g in groups.items()
    ]
    return _labelled(made)


def _labelled(rows: Sequence[Contender]) -> list[Contender]:
    by_kind: dict[str, list[Contender]] = {}
    for row in rows:
        by_kind.setdefault(row.first.kind, []).append(row)
    labels: dict[Variant, str] = {}
    for group in by_kind.values():
        labels |= labels_of([row.first for row in group])
    return [replace(row, label=labels[row.first.variant]) for row in rows]


def labels_of(trials: Sequence[Trial]) -> dict[Variant, str]:
    """Variant -> preset, and the settings in which these experiments of one model differ."""
    alone = len({trial.variant for trial in trials}) == 1
    flat = {trial.variant: flat_settings(trial) for trial in trials}
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    differ = [k for k in keys if len({repr(settings.get(k)) for settings in flat.values()}) > 1]
    labels = {}
    for trial in trials:
        parts = [trial.preset] if trial.preset else []
        if not alone:
            settings = flat[trial.variant]
            shown = [key for key in differ if key in settings][:SHOWN_SETTINGS]
            parts += [f"{key}={short(settings[key])}" for key in shown]
            if len(differ) > SHOWN_SETTINGS:
                parts.append(f"+{len(differ) - SHOWN_SETTINGS} more")
        labels[trial.variant] = ", ".join(parts)
    if len(set(labels.values())) < len(labels):
        return {v: ", ".join(filter(None, (label, v[0][:6]))) for v, label in labels.items()}
    return labels


def flat_settings(trial: Trial) -> dict[str, Any]:
    """What decides a trial's training; of a run that lent its latents, under its model's name.

    The versions of the plugins that it used count as settings, under their distributions' names.
    """
    flat = {**flatten(trial.spec), **trial.versions}
    if not trial.sources:
        return flat
    lent = trial.spec.get("parents", ())
    flat = {key: value for key, value in flat.items() if value not in lent}
    for source in trial.sources:
        flat |= {f"{source['model']}.{key}": value for key, value in flatten(source).items()}
    return flat


def flatten(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the training in a spec, under short names: 'z_dim', 'epochs', 'data.size'."""
    flat: dict[str, Any] = dict(spec.get("model_settings", {}))
    for key, value in spec.items():
        if key == "dataset_settings":
            flat |= {f"data.{name}": setting for name, setting in value.items()}
        elif key == "samplers":
            flat[key] = "+".join(part["name"] for part in value)
        elif key not in ("model", "dataset", "model_settings", "version", *_NO_DIFFERENCE):
            flat[key] = value
    return flat


def short(value: Any) -> str:
    """A setting's value in a label."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "-".join(map(short, value))
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)
