"""Train, score and store one run, from its first step or from its last checkpoint.

The way of a run: data ready -> device -> model under the seed -> parts checked against one
another -> row in the store -> training -> final scores and pictures -> finished. Whatever stops
it leaves a status, an error in words and every epoch that was reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from genbench.contracts import Data, DataAccess, Metric, Model, Sampler
from genbench.engine import (
    checkpoint_position,
    drop_checkpoints,
    drop_training_state,
    evaluation,
    load_weights,
    planned_epochs,
    resolve_device,
    train,
)
from genbench.errors import UsageError
from genbench.evaluation import check_fit
from genbench.evaluation.run_scores import RunScores
from genbench.evaluation.stoppable import stop_if, stoppable
from genbench.events import EpochDone, Event, Listener, Noticed, ShouldStop, never
from genbench.health.monitor import Monitor
from genbench.registry import Registry
from genbench.runner.adding import skipped_parts
from genbench.runner.ending import ending
from genbench.runner.environment import environment
from genbench.runner.loading import check_checkpoint, identity
from genbench.runner.parts import (
    build_metrics,
    build_model,
    build_samplers,
    completed,
    default_sampler,
    load_data,
    model_settings,
    monitor_parts,
    owner_in,
    unabridged,
)
from genbench.runner.run_pictures import RunPictures
from genbench.runner.source_runs import with_runs
from genbench.runner.versions import check_versions, installed, names_in
from genbench.spec import Part, RunSpec, canonical_json
from genbench.store import Recorder, Store
from genbench.store.records import Run, Status


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a run needs, built and checked against one another; nothing is stored yet."""

    spec: RunSpec
    device: torch.device
    data: Data
    model: Model
    samplers: Sequence[tuple[Part, Sampler]]
    metrics: Sequence[tuple[Part, Metric]]
    access: DataAccess
    registry: Registry

    @property
    def stages(self) -> tuple[tuple[str, int], ...]:
        """The stages with their epochs."""
        return planned_epochs(self.model, self.spec)

    @property
    def parameters(self) -> int:
        """The trainable parameters of all networks together."""
        return sum(p.numel() for p in self.model.nets.parameters() if p.requires_grad)


def run(
    spec: RunSpec,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    name: str | None = None,
    tags: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
    should_stop: ShouldStop = never,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """Train and score a spec as a new run of ``store``; return the finished run.

    ``listeners`` hear every event after the store has it; ``started`` gets the new run.
    ``should_stop`` is asked after each step and each minibatch of samples. Errors before
    ``started`` leave nothing in the store; later ones (InterruptedRunError, DivergedError,
    DiskFullError, GenbenchError) leave the run interrupted or failed, to be resumed.
    """
    job = assemble(
        spec,
        registry=registry,
        store=store,
        access=access,
        should_stop=should_stop,
        complete=True,
    )
    made = store.create_run(
        job.spec,
        name=name,
        tags=tags,
        stages=job.stages,
        environment=environment(job.device),
        parameters=job.parameters,
        plugins=installed(names_in(job.spec), registry),
        settings=unabridged(job.spec, registry),
    )
    if started is not None:
        started(made)
    return _carry_out(job, made, store, listeners, should_stop, resume=False)


def resume(
    run_id: str,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    device: str | None = None,
    from_scratch: bool = False,
    listeners: Sequence[Listener] = (),
    should_stop: ShouldStop = never,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """Take up a run that did not end, from its last checkpoint; on the CPU it ends bitwise equal.

    ``device`` may differ from the one that the run began on. ``from_scratch`` drops its checkpoint
    and all that was recorded, and starts it again. Raises UsageError for a run that is finished or
    still alive, CheckpointError where its checkpoint is gone, damaged or another run's; nothing is
    changed then.
    """
    found = store.run(run_id)
    if found.status is Status.FINISHED:
        raise _nothing_to_resume(found, store)
    if not from_scratch:
        check_checkpoint(found, store)
    check_versions(store, found.id, registry)
    spec = RunSpec.from_json(found.spec)
    job = assemble(
        spec,
        registry=registry,
        store=store,
        access=access,
        device=device,
        should_stop=should_stop,
        strict=False,
    )
    taken = store.take_over(
        found.id,
        environment=environment(job.device),
        plugins=installed(names_in(spec), registry),
    )
    if from_scratch:
        drop_checkpoints(store.folder(taken.id))
    if started is not None:
        started(taken)
    if not from_scratch:
        _warn_of_older_checkpoint(found, store, _to_all(*listeners))
    return _carry_out(job, taken, store, listeners, should_stop, resume=True)


def _warn_of_older_checkpoint(found: Run, store: Store, tell: Listener) -> None:
    """A checkpoint older than the one that the store knows was put back."""
    if found.checkpoint_step is None:
        return
    position = checkpoint_position(store.folder(found.id), identity(found))
    if position["step"] < found.checkpoint_step:
        tell(
            Noticed(
                message=f"the checkpoint is of step {position['step']}, the store knows one of "
                f"step {found.checkpoint_step}: the steps in between are repeated"
            )
        )


def assemble(
    spec: RunSpec,
    *,
    registry: Registry,
    store: Store,
    access: DataAccess,
    device: str | None = None,
    should_stop: ShouldStop = never,
    strict: bool = True,
    complete: bool = False,
) -> Job:
    """Read the data and build every part of a run; the device's kind goes into its spec.

    A sampler or metric that can't be built is an error before a training, and where it is not
    ``strict``, for one that has begun, it is skipped when its turn comes.
    ``complete`` fills in the defaults of the spec, as a new run is stored.

    Data may be the latent space of a finished run of ``store``.

    Raises DataError, DeviceError, IncompatibleError, SettingError or PluginError.
    """
    chosen = resolve_device(device or spec.device)
    data = load_data(spec, registry, with_runs(stoppable(access, should_stop), registry, store))
    stop_if(should_stop)
    spec = completed(spec, data.spec, registry) if complete else spec
    model = build_model(spec, data.spec, registry)
    samplers = build_samplers(spec.samplers, registry, strict=strict)
    metrics = build_metrics(spec.metrics, registry, strict=strict)
    check_fit(model, samplers, metrics, registry.capabilities, name=spec.model)
    return Job(
        spec=spec if device else replace(spec, device=chosen.type),
        device=chosen,
        data=data,
        model=model,
        samplers=samplers,
        metrics=metrics,
        access=access,
        registry=registry,
    )


def _carry_out(
    job: Job,
    made: Run,
    store: Store,
    listeners: Sequence[Listener],
    should_stop: ShouldStop,
    *,
    resume: bool,
) -> Run:
    folder = store.folder(made.id)
    with ending(made.id, store, job.spec, listeners):
        tell = _to_all(*listeners)
        with Recorder(store, made.id, tell=tell, should_stop=should_stop) as recorder:
            emit = _to_all(recorder, *listeners)
            owner = owner_in(job.registry)
            watching, probes = monitor_parts(job.spec, job.model, job.registry)
            monitor = Monitor(
                job.model,
                job.data,
                job.spec,
                samplers=watching,
                metrics=probes,
                owner=owner,
                settings=model_settings(job.spec, job.registry),
                device=job.device,
                access=job.access,
                stages=job.stages,
                emit=emit,
            )
            pictures = RunPictures(
                job.model,
                job.data,
                job.spec,
                sampler=_own_sampler(job),
                device=job.device,
                stages=job.stages,
                folder=folder,
                emit=emit,
                owner=owner,
            )
            scores = RunScores(
                job.model,
                job.data,
                job.spec,
                samplers=job.samplers,
                metrics=job.metrics,
                device=job.device,
                access=job.access,
                stages=job.stages,
                folder=folder,
                emit=emit,
                should_stop=should_stop,
                owner=owner,
            )
            train(
                job.model,
                job.data,
                job.spec,
                device=job.device,
                folder=folder,
                emit=_to_all(emit, monitor.recalling(store, made.id)),
                between_epochs=_in_turn(
                    monitor.after, pictures.between_epochs, scores.between_epochs
                ),
                should_stop=should_stop,
                resume=resume,
                identity=identity(made),
            )
            load_weights(job.model, folder, job.device, identity(made))
            with evaluation(job.model, job.device):
                pictures.at_the_end()
                scores.at_the_end(scored=_scored(store, made, scores.last_epoch))
            recorder.finish()
    drop_training_state(folder)
    return store.run(made.id)


def _scored(store: Store, made: Run, epoch: int) -> set[tuple[str, str]]:
    """Samplers, with their settings, for which the run has computed its final scores itself.

    Scores that an evaluation has added meanwhile don't count.
    """
    return {
        (score.sampler, canonical_json(score.sampler_settings))
        for score in store.scores(made.id)
        if score.origin == "run" and score.epoch == epoch
    }


def _nothing_to_resume(run: Run, store: Store) -> UsageError:
    rounds = skipped_parts(store, run.id, RunSpec.from_json(run.spec))
    names = dict.fromkeys(part.name for _, metrics in rounds for part in metrics or ())
    if names:
        skipped = f"{' and '.join(names)} {'were' if len(names) > 1 else 'was'} skipped"
        return UsageError(
            f"run {run.id} is finished, but {skipped}",
            hint=f"To compute that: genbench evaluate {run.id}",
        )
    return UsageError(
        f"run {run.id} is finished: there is nothing to resume",
        hint=f"To train it again: genbench rerun {run.id}",
    )


def _own_sampler(job: Job) -> tuple[Part, Sampler] | None:
    """The model's own sampler; None where it has none, and pictures are of the generator."""
    if job.registry.get("model", job.spec.model).default_sampler is None:
        return None
    [found] = build_samplers([default_sampler(job.spec, job.registry)], job.registry, strict=False)
    return found


def _in_turn(*steps: Callable[[EpochDone], None]) -> Callable[[EpochDone], None]:
    def after(done: EpochDone) -> None:
        for step in steps:
            step(done)

    return after


def _to_all(*listeners: Listener) -> Listener:
    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
