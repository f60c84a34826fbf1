"""Train, score and store one run, from its first step or from its last checkpoint.

The steps: choose the device, read the data, build the model under its seed, check that all parts
fit together, create the row in the store, train, score and draw the final weights, finish. If
anything stops the run, the store keeps its status, the error, and every reported epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from genbench.contracts import Data, DataAccess
from genbench.engine import (
    Shards,
    checkpoint_position,
    drop_checkpoints,
    drop_training_state,
    resolve_devices,
    resolve_precision,
    share_cores,
    train,
    using_threads,
)
from genbench.errors import UsageError
from genbench.evaluation import check_fit
from genbench.evaluation.job import Job
from genbench.evaluation.stoppable import stop_if, stoppable
from genbench.events import Listener, Noticed, ShouldStop, never
from genbench.registry import Registry
from genbench.runner.adding import skipped_parts
from genbench.runner.build_parts import (
    build_metrics,
    build_samplers,
    completed,
    load_data,
    owner_in,
    unabridged,
)
from genbench.runner.checkpoints import check_checkpoint, identity
from genbench.runner.compressing import model_of
from genbench.runner.environment import environment
from genbench.runner.listening import build_listeners
from genbench.runner.processes import Processes
from genbench.runner.recording import Recording, recorded, to_all
from genbench.runner.source_runs import with_runs
from genbench.runner.thread_count import TRIED, was_tried, with_threads
from genbench.runner.versions import check_versions, installed, names_in
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Run, Status


def run(
    spec: RunSpec,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    name: str | None = None,
    tags: Sequence[str] = (),
    listen: Sequence[Part] = (),
    listeners: Sequence[Listener] = (),
    should_stop: ShouldStop = never,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """Train and score a spec as a new run of ``store``; return the finished run.

    ``listeners`` get every event after it was stored, and so do the listeners of plugins that
    ``listen`` names; ``started`` gets the new run.
    ``should_stop`` is called after each step and each minibatch of samples. After an error before
    ``started``, nothing is in the store; after a later one (InterruptedRunError, DivergedError,
    DiskFullError, GenbenchError), the run is interrupted or failed, and can be resumed.
    """
    plugins = build_listeners(listen, registry)
    with Processes(spec.device) as others:
        job, tried = with_threads(assemble(spec, registry, store, access, should_stop), store)
        with using_threads(others.threads(job.spec.threads)):
            shards = others.join(job, store, new=True)
            facts = {**others.facts(shards), **({TRIED: True} if tried else {})}
            made = create(job, registry, store, name=name, tags=tags, facts=facts)
            if started is not None:
                started(made)
            return _execute(
                recorded(job, made, registry, store, listeners, plugins, should_stop, resume=False),
                others,
                shards,
            )


def create(
    job: Job,
    registry: Registry,
    store: Store,
    *,
    name: str | None,
    tags: Sequence[str],
    facts: Mapping[str, Any] | None = None,
) -> Run:
    """The row of a new run, which is running; ``facts`` are added to its environment."""
    return store.create_run(
        job.spec,
        name=name,
        tags=tags,
        stages=job.stages,
        environment={**environment(job.device), **(facts or {})},
        parameters=job.parameters,
        plugins=installed(names_in(job.spec), registry),
        settings=unabridged(job.spec, registry),
    )


def resume(
    run_id: str,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    device: str | None = None,
    from_scratch: bool = False,
    listen: Sequence[Part] = (),
    listeners: Sequence[Listener] = (),
    should_stop: ShouldStop = never,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """Continue an unfinished run from its last checkpoint; on the CPU it ends bitwise equal.

    ``device`` may differ from the one on which the run began; the number of threads is the stored
    one. ``from_scratch`` removes its
    checkpoint and all that was recorded, and starts it again. Raises UsageError for a run that is
    finished or still running, CheckpointError if its checkpoint is missing, damaged or of another
    run; nothing changes then.
    """
    found = store.run(run_id)
    if found.status is Status.FINISHED:
        raise _nothing_to_resume(found, store)
    if not from_scratch:
        check_checkpoint(found, store)
    check_versions(store, found.id, registry)
    spec = RunSpec.from_json(found.spec)
    plugins = build_listeners(listen, registry)
    device = device or spec.device
    with Processes(device) as others:
        job = assemble(spec, registry, store, access, should_stop, resume_on=device)
        with using_threads(others.threads(spec.threads)):
            shards = others.join(job, store, new=False)
            taken = store.take_over(
                found.id,
                environment={
                    **environment(job.device),
                    **others.facts(shards),
                    **was_tried(store, found),
                },
                plugins=installed(names_in(spec), registry),
            )
            if from_scratch:
                drop_checkpoints(store.folder(taken.id))
                store.publish(taken.id)
            if started is not None:
                started(taken)
            if not from_scratch:
                _warn_of_older_checkpoint(found, store, to_all(*listeners))
            return _execute(
                recorded(job, taken, registry, store, listeners, plugins, should_stop, resume=True),
                others,
                shards,
            )


def _warn_of_older_checkpoint(found: Run, store: Store, tell: Listener) -> None:
    """Tell the user if the checkpoint is older than the last one in the store."""
    if found.checkpoint_step is None:
        return
    position = checkpoint_position(store.folder(found.id), identity(found))
    if position["step"] < found.checkpoint_step:
        tell(
            Noticed(
                message=f"the checkpoint is of step {position['step']}, and the last one in the "
                f"store is of step {found.checkpoint_step}: the steps in between are repeated"
            )
        )


def assemble(
    spec: RunSpec,
    registry: Registry,
    store: Store,
    access: DataAccess,
    should_stop: ShouldStop,
    *,
    resume_on: str | None = None,
    data: Data | None = None,
) -> Job:
    """Read the data, which may be the latent space of a finished run, and build all parts of a run.

    ``data`` is given if another run has read it.

    A new run gets all defaults, the kind of its device and its precision in its spec, and a sampler
    or a metric that can't be built is an error. With ``resume_on`` (a device), the spec of a stored
    run doesn't change, and such a part is skipped when it is used.

    Raises DataError, DeviceError, IncompatibleError, SettingError or PluginError.
    """
    is_new = resume_on is None
    name = resume_on or spec.device
    device, *others = resolve_devices(name)
    share_cores()
    if data is None:
        data = load_data(spec, registry, with_runs(stoppable(access, should_stop), registry, store))
    stop_if(should_stop)
    if is_new:
        precision = resolve_precision(spec.precision, device)
        spec = replace(
            completed(spec, data.spec, registry),
            device=name if others else device.type,
            precision=precision,
        )
    model = model_of(spec, data.spec, registry, store, start=is_new)
    samplers = build_samplers(spec.samplers, registry, strict=is_new)
    metrics = build_metrics(spec.metrics, registry, strict=is_new)
    check_fit(model, samplers, metrics, registry.capabilities, name=spec.model)
    return Job(
        spec=spec,
        device=device,
        data=data,
        model=model,
        samplers=samplers,
        metrics=metrics,
        access=access,
        owner=owner_in(registry),
    )


def _execute(
    life: AbstractContextManager[Recording], others: Processes, shards: Shards | None
) -> Run:
    """Train and score the run that is recorded; return the finished run."""
    with life as recording:
        job, made, store = recording.job, recording.made, recording.store
        if shards is not None:
            recording.emit(Noticed(message=others.in_words(shards)))
        others.begin(recording.folder, identity(made), resume=recording.resumed)
        with others.watched():
            train(
                job.model,
                job.data,
                job.spec,
                device=job.device,
                folder=recording.folder,
                emit=recording.emit,
                between_epochs=recording.between_epochs,
                should_stop=recording.should_stop,
                resume=recording.resumed,
                identity=identity(made),
                shards=shards,
            )
        recording.score()
    drop_training_state(store.folder(made.id))
    store.publish(made.id)
    return store.run(made.id)


def _nothing_to_resume(run: Run, store: Store) -> UsageError:
    rounds = skipped_parts(store, run.id, RunSpec.from_json(run.spec))
    names = dict.fromkeys(part.name for _, metrics in rounds for part in metrics or ())
    if names:
        skipped = f"{', '.join(names)} {'were' if len(names) > 1 else 'was'} skipped"
        return UsageError(
            f"run {run.id} is finished, but {skipped}",
            hint=f"To compute that: genbench evaluate {run.id}",
        )
    return UsageError(
        f"run {run.id} is finished: there is nothing to resume",
        hint=f"To train it again: genbench rerun {run.id}",
    )
