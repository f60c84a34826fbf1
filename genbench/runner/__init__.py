"""The composition root, which connects registry, data, engine, evaluation and store.

``run`` trains, scores and stores a run, and ``run_seeds`` one for each of several seeds; ``resume``
continues an unfinished one; ``evaluate_run``, ``sample_run`` and ``load_run`` use stored runs. They
raise `GenbenchError` and print nothing. All of them except ``data_access`` and ``with_runs`` import
torch, so they are imported lazily.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "data_access": "genbench.runner.access",
    "run": "genbench.runner.train_run",
    "resume": "genbench.runner.train_run",
    "run_seeds": "genbench.runner.train_seeds",
    "load_run": "genbench.runner.stored_runs",
    "evaluate_run": "genbench.runner.stored_runs",
    "sample_run": "genbench.runner.stored_runs",
    "with_runs": "genbench.runner.source_runs",
}

__all__ = [
    "data_access",
    "evaluate_run",
    "load_run",
    "resume",
    "run",
    "run_seeds",
    "sample_run",
    "with_runs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'genbench.runner' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


if TYPE_CHECKING:
    from genbench.runner.access import data_access as data_access
    from genbench.runner.source_runs import with_runs as with_runs
    from genbench.runner.stored_runs import (
        evaluate_run as evaluate_run,
        load_run as load_run,
        sample_run as sample_run,
    )
    from genbench.runner.train_run import resume as resume, run as run
    from genbench.runner.train_seeds import run_seeds as run_seeds
