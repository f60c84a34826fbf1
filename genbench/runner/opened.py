"""Use the model of a stored run for pictures, without changing the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from genbench.contracts import DataAccess
from genbench.engine import evaluation
from genbench.evaluation.loaded_run import LoadedRun
from genbench.events import ShouldStop, never
from genbench.registry import Registry
from genbench.runner.stored_runs import load_run
from genbench.store import Store


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The registry, the store, the data and the device that a stored run is used with."""

    registry: Registry
    store: Store
    access: DataAccess
    device: str = "auto"
    should_stop: ShouldStop = never


@contextmanager
def at_work(run_id: str, opened: Opened, seed: int) -> Iterator[LoadedRun]:
    """Load a run in eval mode, with forked generators.

    The global generators, which a model may use for noise, are seeded with ``seed``.
    """
    loaded = load_run(
        run_id,
        registry=opened.registry,
        store=opened.store,
        access=opened.access,
        device=opened.device,
        should_stop=opened.should_stop,
    )
    with evaluation(loaded.model, loaded.device):
        torch.manual_seed(seed)
        yield loaded
