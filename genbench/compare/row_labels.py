"""Runs grouped into rows by experiment and sampler, with labels that say in what rows differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genbench.compare.row import Row
from genbench.compare.run_results import RunResult, Variant, samplers_of
from genbench.errors import UnknownNameError, UsageError
from genbench.spec import LATER, compression_in_words

SHOWN_SETTINGS = 4
"""The maximum number of settings in the label of a row."""

COMPRESSION = "compressed by"
"""The name of a row's compressors among its settings."""

OF_COMPRESSOR = "compressor."
"""What the names of their settings begin with: ``compressor.prune.criterion``."""

_NO_DIFFERENCE = (
    "evaluate_every",
    "sample_every",
    "log_every",
    "threads",
    "metrics",
    "seed",
    "preset",
    "parents",
    "parent_experiments",
)
"""Fields of a spec that don't affect the training."""


def group_runs(
    runs: Iterable[RunResult], by: Sequence[str] = (), others: Sequence[RunResult] = ()
) -> list[Row]:
    """One row for each variant of an experiment and each of its samplers.

    Their titles tell them apart from each other and from ``others``, which have no row.
    With ``by``, one row for each model, sampler and combination of values of these settings.
    Raises UnknownNameError for a setting that no run has, and UsageError for the seed.
    """
    if by:
        return _grouped_by(list(runs), by)
    groups: dict[tuple[Variant, str], list[RunResult]] = {}
    for run in runs:
        for sampler in samplers_of(run):
            groups.setdefault((run.variant, sampler), []).append(run)
    made = [
        Row(runs=tuple(sorted(g, key=lambda t: (t.seed, t.created_at))), sampler=sampler)
        for (_, sampler), g in groups.items()
    ]
    return _labelled(made, others)


def _grouped_by(runs: Sequence[RunResult], by: Sequence[str]) -> list[Row]:
    flat = {run.variant: settings_by_name(run) for run in one_of_each(runs)}
    known = {key for settings in flat.values() for key in settings}
    for key in by:
        if key == "seed":
            raise UsageError(
                "--by seed has no meaning, since a row is the mean over its seeds",
                hint="To see the runs of one seed: genbench compare seed=0",
            )
        if key not in known:
            raise UnknownNameError("setting", key, setting_names(runs))
    groups: dict[tuple[str, str, str], list[RunResult]] = {}
    for run in runs:
        settings = flat[run.variant]
        parts = [f"{k}={short(settings[k]) if k in settings else '–'}" for k in by if k != "model"]
        for sampler in samplers_of(run):
            groups.setdefault((run.kind, ", ".join(parts), sampler), []).append(run)
    return [
        Row(
            runs=tuple(sorted(g, key=lambda t: (t.seed, t.created_at))),
            sampler=sampler,
            label=label,
        )
        for (_, label, sampler), g in groups.items()
    ]


def one_of_each(runs: Iterable[RunResult]) -> list[RunResult]:
    """The first run of each variant, which has the settings of all."""
    found: dict[Variant, RunResult] = {}
    for run in runs:
        found.setdefault(run.variant, run)
    return list(found.values())


def setting_names(runs: Iterable[RunResult]) -> set[str]:
    """The names of the settings of some runs, without the versions of their plugins."""
    return {key for run in one_of_each(runs) for key in settings_by_name(run)} - {
        name for run in one_of_each(runs) for name in run.versions
    }


def settings_by_name(run: RunResult) -> dict[str, Any]:
    """What rows can be made and sorted by: the settings of a run, its model, preset and device.

    A setting of the model is known as ``lr`` and as ``model.lr``, as in filters.
    """
    own = {f"model.{key}": value for key, value in run.spec.get("model_settings", {}).items()}
    head = {"model": run.kind, "preset": run.preset, "device": run.place.device}
    return {**own, **flat_settings(run), **head}


def _labelled(rows: Sequence[Row], others: Sequence[RunResult]) -> list[Row]:
    by_kind: dict[str, list[RunResult]] = {}
    for run in (*(row.first for row in rows), *others):
        by_kind.setdefault(run.kind, []).append(run)
    labels: dict[Variant, str] = {}
    for kind in dict.fromkeys(row.first.kind for row in rows):
        labels |= labels_of(by_kind[kind])
    return [replace(row, label=labels[row.first.variant]) for row in rows]


def labels_of(runs: Sequence[RunResult]) -> dict[Variant, str]:
    """Variant -> preset and the settings in which these experiments of one model differ."""
    alone = len({run.variant for run in runs}) == 1
    flat = {run.variant: flat_settings(run) for run in runs}
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    differ = [k for k in keys if len(_values(k, flat.values())) > 1]
    differ.sort(key=lambda key: not _of_compressor(key))
    labels = {}
    for run in runs:
        parts = [run.preset] if run.preset else []
        if not alone:
            settings = flat[run.variant]
            shown = [key for key in differ if key in settings][:SHOWN_SETTINGS]
            parts += [_told(key, settings[key]) for key in shown]
            if len(differ) > SHOWN_SETTINGS:
                parts.append(f"+{len(differ) - SHOWN_SETTINGS} more")
        labels[run.variant] = ", ".join(parts)
    if len(set(labels.values())) < len(labels):
        return {v: ", ".join(filter(None, (label, v[0][:6]))) for v, label in labels.items()}
    return labels


def _values(key: str, settings: Iterable[Mapping[str, Any]]) -> set[str]:
    """The distinct values of a setting; of a compressor's, only among runs that it compressed."""
    everywhere = not key.startswith(OF_COMPRESSOR)
    return {repr(each.get(key)) for each in settings if everywhere or key in each}


def _of_compressor(key: str) -> bool:
    return key == COMPRESSION or key.startswith(OF_COMPRESSOR)


def _told(key: str, value: Any) -> str:
    if key == COMPRESSION:
        return str(value)
    name = key.rpartition(".")[2] if _of_compressor(key) else key
    return f"{name}={short(value)}"


def flat_settings(run: RunResult) -> dict[str, Any]:
    """All settings that a training depends on; those of a source run have its model as a prefix.

    The versions of the plugins count as settings, under the names of their distributions.
    """
    flat = {**flatten({**LATER, **run.spec}), **run.versions}
    if not run.sources:
        return flat
    parents = run.spec.get("parents", ())
    flat = {key: value for key, value in flat.items() if value not in parents}
    for source in run.sources:
        flat |= {f"{source['model']}.{key}": value for key, value in flatten(source).items()}
    return flat


def flatten(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a spec that affect training, by short names: 'z_dim', 'data.size'."""
    flat: dict[str, Any] = dict(spec.get("model_settings", {}))
    for key, value in spec.items():
        if key == "dataset_settings":
            flat |= {f"data.{name}": setting for name, setting in value.items()}
        elif key == "compressors":
            flat |= _compression(value)
        elif key == "samplers":
            flat[key] = "+".join(part["name"] for part in value)
        elif key not in ("model", "dataset", "model_settings", "version", *_NO_DIFFERENCE):
            flat[key] = value
    return flat


def _compression(compressors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What compressed a run, in words, and its settings: 'compressor.prune.criterion'."""
    if not compressors:
        return {}
    settings = {
        f"{OF_COMPRESSOR}{part['name']}.{name}": value
        for part in compressors
        for name, value in part["settings"].items()
        if name != "ratio"
    }
    return {COMPRESSION: compression_in_words(compressors), **settings}


def short(value: Any) -> str:
    """The value of a setting as text in a label."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "-".join(map(short, value))
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)
