"""A tuning as an optuna study in an SQLite file, which optuna-dashboard opens."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from genbench.files.writing import replacing
from genbench.tuning.question import SearchQuestion
from genbench.tuning.search import Trial, frozen_for_export


def write_optuna(path: Path, name: str, question: SearchQuestion, trials: Sequence[Trial]) -> None:
    """Write all trials as a study called ``name``; lower values are better there.

    An older file is replaced. genbench never reads it.
    """
    import optuna

    with replacing(path) as part:
        study = optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{part}",
            directions=["minimize"] * len(question.objectives),
        )
        with warnings.catch_warnings(action="ignore"):  # optuna calls it experimental
            study.set_metric_names(list(question.objectives))
        study.set_user_attr("genbench", f"{question.model} on {question.dataset}")
        study.add_trials([frozen_for_export(question, trial) for trial in trials])
        engine = getattr(getattr(study._storage, "_backend", None), "engine", None)
        if engine is not None:
            engine.dispose()
