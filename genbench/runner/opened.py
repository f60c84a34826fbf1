"""A stored run's model at work, for pictures of it.

Nothing is added to the run: a picture is written where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from genbench.contracts import DataAccess
from genbench.engine import evaluation
from genbench.evaluation.loaded_run import LoadedRun
from genbench.evaluation.stoppable import stoppable
from genbench.events import ShouldStop, never
from genbench.registry import Registry
from genbench.runner.stored_runs import load_run
from genbench.store import Store


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The store, the data and the device that a stored run is used with."""

    registry: Registry
    store: Store
    access: DataAccess
    device: str = "auto"
    should_stop: ShouldStop = never


@contextmanager
def at_work(run_id: str, opened: Opened, seed: int) -> Iterator[LoadedRun]:
    """The run in eval mode; random generators are as before afterwards.

    A model may draw noise of its own from the global ones, which start from ``seed`` here.
    """
    loaded = load_run(
        run_id,
        registry=opened.registry,
        store=opened.store,
        access=stoppable(opened.access, opened.should_stop),
        device=opened.device,
    )
    with evaluation(loaded.model, loaded.device):
        torch.manual_seed(seed)
        yield loaded
