"""Load the model of a stored run with its last weights, and the data that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genbench.contracts import DataAccess
from genbench.engine import (
    RunIdentity,
    checkpoint_position,
    has_checkpoint,
    load_weights,
    planned_epochs,
    resolve_device,
)
from genbench.errors import CheckpointError, UsageError, hints_for
from genbench.evaluation.loaded_run import LoadedRun
from genbench.registry import Registry
from genbench.runner.build_parts import build_model, load_data
from genbench.runner.versions import Name, check_versions
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run, Status


def load(
    run_id: str,
    registry: Registry,
    store: Store,
    access: DataAccess,
    device: str,
    drawing: Mapping[str, Any] | None = None,
) -> LoadedRun:
    """Rebuild a model from its spec and load its last weights: the EMA if it has one.

    ``access`` has the finished runs that the data may be made of; ``drawing`` replaces drawing
    settings of the model. Raises UsageError for a run without a checkpoint, CheckpointError for a
    damaged one, PluginError if its model or data set isn't installed; warns if one of them has
    another version.
    """
    run = store.run(run_id)
    parts: tuple[Name, ...] = (("model", run.model), ("dataset", run.dataset))
    differing = check_versions(store, run.id, registry, parts)
    if not check_checkpoint(run, store):
        raise UsageError(
            f"run {run.id} ({run.status}) has no checkpoint yet, so there are no weights to use",
            hint=f"To train it: genbench resume {run.id}, or genbench rerun {run.id}",
        )
    spec = RunSpec.from_json(run.spec)
    spec = replace(spec, model_settings={**spec.model_settings, **(drawing or {})})
    chosen = resolve_device(device)
    data = load_data(spec, registry, access)
    model = build_model(spec, data.spec, registry)
    with hints_for(run.id):
        at = load_weights(model, store.folder(run.id), chosen, identity(run))
    model.nets.eval()
    return LoadedRun(
        id=run.id,
        spec=spec,
        model=model,
        data=data,
        device=chosen,
        epoch=at["epoch"],
        stage=planned_epochs(model, spec)[at.get("stage", -1)][0],
        step=at["step"] if at.get("iteration") else None,
        differing=tuple(differing),
    )


def identity(run: Run) -> RunIdentity:
    """The identity in the checkpoints of a stored run."""
    return RunIdentity(run=run.id, digest=run.digest)


def check_checkpoint(run: Run, store: Store) -> bool:
    """Whether the folder of a run has its checkpoint; False if none was ever written.

    Raises CheckpointError if a checkpoint was written but is missing, has no readable manifest, or
    belongs to another run.
    """
    folder = store.folder(run.id)
    store.restore_folder(run.id)
    if has_checkpoint(folder):
        with hints_for(run.id):
            checkpoint_position(folder, identity(run))
        return True
    if run.checkpoint_step is None:
        return False
    finished = run.status is Status.FINISHED
    again = f"rerun {run.id}" if finished else f"resume {run.id} --from-scratch"
    raise CheckpointError(
        f"the checkpoint of run {run.id} (step {run.checkpoint_step}, epoch "
        f"{run.checkpoint_epoch}) is not in {folder / 'checkpoints'}; put that folder back",
        hint=f"To train from the first step: genbench {again}",
    )
