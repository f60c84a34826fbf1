"""The columns of a study's tables: scores, facts about the runs, and diagnostics of samplers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from genbench.errors import SettingError, suggest
from genbench.registry import Registry
from genbench.study.file import StudyFile

FACTS: Mapping[str, str] = {
    "seeds": "number of seeds in the mean; runs with one seed count once",
    "epochs": "epochs of each stage",
    "parameters": "trainable parameters of all networks",
    "s/epoch": "median seconds per epoch in the last stage with steps, without the first epoch",
    "train_s": "total training seconds, including the preparation of data for stages",
    "cpu_s": "CPU seconds of all epochs and of those of source runs, over all threads",
    "target_s": "training seconds until the first score at the target, with those of source runs",
    "s/sample": "seconds of sampling per sample, including calibration",
    "cost": "s/sample relative to the first sampler",
}
"""Columns that don't need a metric, with their meaning."""

OF_TRAINING = ("s/epoch", "train_s", "cpu_s", "target_s")
"""Facts that are seconds of training."""

SORTS: Mapping[str, str] = {"s/epoch": "epoch", "train_s": "total"}
"""Sort keys besides metrics -> their names in compare."""

NEAR = 0.8
"""The similarity (difflib) from which a name is treated as a misspelling of another."""


def check_columns(path: Path, study: StudyFile, registry: Registry) -> None:
    """Check the columns: raise SettingError for a metric that isn't computed or a misspelt name.

    Other unknown names are accepted: the scores of a metric and the diagnostics of a sampler are
    known only after the first run.
    """
    registered = {registration.name for registration in registry.of("metric")}
    computed = set(study.metrics or registered)
    names = [("columns", name) for name in study.table.columns or ()]
    if study.table.sort_by:
        names.append(("sort_by", study.table.sort_by))
    for key, name in names:
        if name in registered - computed:
            raise SettingError(
                f"{path}: [table]: {key} has '{name}', which no run computes; add it to metrics"
            )
        known = [*computed, *FACTS]
        if any(name.startswith(f"{metric}_") for metric in computed):
            continue  # one of several scores of a metric
        if name not in known and difflib.get_close_matches(name, known, n=1, cutoff=NEAR):
            raise SettingError(f"{path}: [table]: {key} has '{name}'{suggest(name, known)}")
