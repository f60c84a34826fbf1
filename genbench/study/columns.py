"""The columns of a study's tables: scores, facts of the runs, and what samplers say of a draw."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from genbench.errors import SettingError, suggest
from genbench.registry import Registry
from genbench.study.file import StudyFile

FACTS: Mapping[str, str] = {
    "seeds": "seeds that the row is the mean of; runs of one seed count once",
    "epochs": "epochs of each stage",
    "parameters": "trainable parameters of all networks",
    "s/epoch": "median training seconds of an epoch of the last stage with steps, save the first",
    "train_s": "training seconds in all, with preparing the data of stages",
    "s/sample": "seconds of sampling, calibration included, over the number of samples",
    "cost": "s/sample over that of the first sampler",
}
"""Columns that need no metric, with their meaning."""

OF_SAMPLERS = ("s/sample", "cost")
"""Facts that belong to a sampler's draw rather than to the run."""

SORTS: Mapping[str, str] = {"s/epoch": "epoch", "train_s": "total"}
"""What rows can be sorted by besides a metric, and what compare calls it."""

NEAR = 0.8
"""How alike two names are (difflib) before one of them is taken for a slip of the keyboard."""


def check_columns(path: Path, study: StudyFile, registry: Registry) -> None:
    """Refuse a column that can't be: a metric that isn't taken, or a name that is a near miss.

    Other names pass: a metric may yield several scores and a sampler diagnostics, and these are
    known only once there are runs. Raises SettingError.
    """
    registered = {registration.name for registration in registry.of("metric")}
    taken = set(study.metrics or registered)
    names = [("columns", name) for name in study.table.columns or ()]
    if study.table.sort_by:
        names.append(("sort_by", study.table.sort_by))
    for key, name in names:
        if name in registered - taken:
            raise SettingError(
                f"{path}: [table]: {key} has '{name}', which no run takes; add it to metrics"
            )
        known = [*taken, *FACTS]
        if name not in known and difflib.get_close_matches(name, known, n=1, cutoff=NEAR):
            raise SettingError(f"{path}: [table]: {key} has '{name}'{suggest(name, known)}")
