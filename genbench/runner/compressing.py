"""The model of a run, which may compress another run, and the model of that one.

Law: a compressed run is loaded from its own checkpoint alone; the run that it compresses is needed
only to train it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from genbench.contracts import Compressor, DataSpec, Model, ParentRun
from genbench.engine import load_weights
from genbench.engine.compression import reshape_of, train_as
from genbench.engine.randomness import forked_rng
from genbench.errors import DataError, IncompatibleError, NoSuchRunError, UsageError, hints_for
from genbench.registry import Registry
from genbench.runner.build_parts import build_model, settings_of
from genbench.runner.checkpoints import check_checkpoint, identity
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Run

CPU = torch.device("cpu")


def model_of(
    spec: RunSpec, data: DataSpec, registry: Registry, store: Store, *, start: bool = False
) -> Model:
    """Build the model of a spec on the CPU, ready to be trained or to get the weights of its run.

    With ``start``, a model that compresses another run has the weights of that run, unless it is a
    student, and is checked against it. Raises IncompatibleError if the compressor can't take it.
    """
    model = build_model(spec, data, registry)
    if not spec.compressors:
        return model
    *earlier, own = spec.compressors
    parent = _parent_run(spec.parents[0], data, registry, store)
    before = [_built(part, registry).compress(model, parent) for part in earlier]
    reshapes = [reshape_of(compression, model) for compression in before]
    compressor = _built(own, registry)
    _check_capabilities(compressor, own, model, spec, registry)
    if start and not settings_of("compressor", own, registry).student:
        train_as(model, reshapes)
        _take_weights(model, spec.parents[0], store)
    if start and hasattr(compressor, "check"):
        compressor.check(model, parent)
    compression = compressor.compress(model, parent)
    train_as(model, [*reshapes, reshape_of(compression, model)], compression)
    return model


# --- the compressors of a spec


def _built(part: Part, registry: Registry) -> Compressor:
    settings = settings_of("compressor", part, registry)
    return cast(Compressor, registry.target("compressor", part.name)(settings))


def _check_capabilities(
    compressor: Compressor, part: Part, model: Model, spec: RunSpec, registry: Registry
) -> None:
    for name in compressor.requires:
        registry.capabilities.check_known(name, f"compressor '{part.name}'")
        if not registry.capabilities.fits(model, name):
            words = registry.capabilities.in_words(name)
            raise IncompatibleError(
                f"compressor '{part.name}' needs a model {words}; '{spec.model}' does not"
            )


# --- the run that is compressed


def _parent_run(run_id: str, data: DataSpec, registry: Registry, store: Store) -> ParentRun:
    def trained() -> Model:
        run = _stored(run_id, store)
        with forked_rng(_device()):
            model = model_of(RunSpec.from_json(run.spec), data, registry, store)
        _take_weights(model, run_id, store)
        return _frozen(model)

    def initial() -> Model:
        spec = RunSpec.from_json(_stored(run_id, store).spec)
        if spec.compressors:
            raise IncompatibleError(
                f"run {run_id} is compressed itself, so there are no initial weights of its size; "
                f"compress the run that it was made from: {spec.parents[0]}"
            )
        with forked_rng(_device()):
            return _frozen(build_model(spec, data, registry))

    return ParentRun(run=run_id, data=data, trained=trained, initial=initial)


def _take_weights(model: Model, run_id: str, store: Store) -> None:
    run = _stored(run_id, store)
    if not check_checkpoint(run, store):
        raise UsageError(f"run {run.id} has no checkpoint, so there is nothing to compress")
    with hints_for(run.id):
        load_weights(model, store.folder(run.id), CPU, identity(run))


def _stored(run_id: str, store: Store) -> Run:
    try:
        return store.run(run_id)
    except NoSuchRunError:
        raise DataError(
            f"run {run_id}, which this run compresses, is no longer in the store, so it can't be "
            "trained any further; its own weights can still be used"
        ) from None


def _frozen(model: Model) -> Model:
    nets: nn.Module = model.nets
    nets.eval().requires_grad_(False)
    return model


def _device() -> torch.device:
    """The device with the generator that building a model would seed."""
    return torch.device("cuda") if torch.cuda.is_available() else CPU
