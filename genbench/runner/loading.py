"""Load the model of a stored run with its last weights, and the data that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genbench.contracts import DataAccess
from genbench.engine import load_weights, planned_epochs, resolve_device, share_cores
from genbench.errors import UsageError, hints_for
from genbench.evaluation.loaded_run import LoadedRun
from genbench.registry import Registry
from genbench.runner.build_parts import load_data
from genbench.runner.checkpoints import check_checkpoint, identity
from genbench.runner.compressing import model_of
from genbench.runner.versions import check_versions, names_to_load
from genbench.spec import RunSpec
from genbench.store import Store


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
    spec = RunSpec.from_json(run.spec)
    differing = check_versions(store, run.id, registry, names_to_load(spec))
    if not check_checkpoint(run, store):
        raise UsageError(
            f"run {run.id} ({run.status}) has no checkpoint yet, so there are no weights to use",
            hint=f"To train it: genbench resume {run.id}, or genbench rerun {run.id}",
        )
    spec = replace(spec, model_settings={**spec.model_settings, **(drawing or {})})
    chosen = resolve_device(device)
    share_cores()
    data = load_data(spec, registry, access)
    model = model_of(spec, data.spec, registry, store)
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
