"""A stored run's model with its last weights, and the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from genbench.contracts import Data, DataAccess, Model
from genbench.engine import has_checkpoint, load_weights, resolve_device
from genbench.errors import UsageError
from genbench.registry import Registry
from genbench.runner.parts import build_model, load_data
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A stored run, ready to sample: its model in eval mode on ``device``, and its data."""

    run: Run
    spec: RunSpec
    model: Model
    data: Data
    device: torch.device


def load(
    run_id: str, *, registry: Registry, store: Store, access: DataAccess, device: str
) -> LoadedRun:
    """Rebuild a model from its spec and put its last weights in: averages where it has any.

    ``access`` knows the finished runs that the data may be made of. Raises UsageError for a run
    without a checkpoint, CheckpointError for a damaged one.
    """
    run = store.run(run_id)
    folder = store.folder(run.id)
    if not has_checkpoint(folder):
        raise UsageError(
            f"run {run.id} ({run.status}) has no checkpoint in {folder}, so there are no weights "
            f"to work with; genbench resume {run.id} or genbench rerun {run.id} makes them"
        )
    spec = RunSpec.from_json(run.spec)
    chosen = resolve_device(device)
    data = load_data(spec, registry, access)
    model = build_model(spec, data.spec, registry)
    load_weights(model, folder, chosen)
    model.nets.eval()
    return LoadedRun(run=run, spec=spec, model=model, data=data, device=chosen)
