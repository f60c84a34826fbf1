"""A run while it trains and is scored: everything that it emits goes into the store.

`recorded` is its life from its row in the store to its end, whether it trains alone or together
with others. If anything stops it, the store keeps its status, the error, and every reported epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from genbench.contracts import Reshapes, Sampler
from genbench.engine import evaluation, load_weights
from genbench.evaluation.job import Job
from genbench.evaluation.run_scores import RunScores
from genbench.events import EpochDone, Event, Listener, ShouldStop, StartedRun
from genbench.health.monitor import Monitor
from genbench.planning.listening import keep_listeners
from genbench.registry import Registry
from genbench.runner.build_parts import (
    build_samplers,
    default_sampler,
    model_settings,
    monitor_parts,
)
from genbench.runner.checkpoints import identity
from genbench.runner.ending import ending
from genbench.runner.listening import Named, attached
from genbench.runner.run_pictures import RunPictures
from genbench.spec import Part, RunSpec, canonical_json
from genbench.store import Recorder, Store
from genbench.store.records import Run


class Recording:
    """What a run does besides training: it is recorded, monitored, drawn and scored.

    ``made`` is its row in ``store``, and ``resumed`` whether it continues from a checkpoint.
    """

    def __init__(
        self,
        job: Job,
        made: Run,
        registry: Registry,
        store: Store,
        recorder: Recorder,
        emit: Listener,
        should_stop: ShouldStop,
        *,
        resumed: bool,
    ) -> None:
        self.job, self.made, self.store, self.resumed = job, made, store, resumed
        self.should_stop, self._recorder = should_stop, recorder
        self.folder = store.folder(made.id)
        probes, metrics = monitor_parts(job.spec, job.model, registry)
        settings = model_settings(job.spec, registry)
        self._monitor = Monitor(job, samplers=probes, metrics=metrics, settings=settings, emit=emit)
        own_sampler = _own_sampler(job.spec, registry)
        self._pictures = RunPictures(job, sampler=own_sampler, folder=self.folder, emit=emit)
        self._scores = RunScores(job, folder=self.folder, emit=emit, should_stop=should_stop)
        self._emit = emit

    @cached_property
    def emit(self) -> Listener:
        """The listener for the events of the training."""
        return to_all(self._emit, self._monitor.recalling(self.store, self.made.id))

    def between_epochs(self, done: EpochDone) -> None:
        """Look at the health of the model, draw and score what is due after an epoch."""
        self._monitor.after(done)
        self._pictures.between_epochs(done)
        self._scores.between_epochs(done)

    def score(self) -> None:
        """Draw and score the weights of the last checkpoint, and mark the run as finished."""
        job = self.job
        load_weights(job.model, self.folder, job.device, identity(self.made))
        if isinstance(job.model, Reshapes):
            self.store.set_parameters(self.made.id, job.parameters)
        with evaluation(job.model, job.device):
            self._pictures.at_the_end()
            self._scores.at_the_end(scored=_scored(self.store, self.made, job.last_epoch))
        self._recorder.finish()


@contextmanager
def recorded(
    job: Job,
    made: Run,
    registry: Registry,
    store: Store,
    listeners: Sequence[Listener],
    plugins: Sequence[Named],
    should_stop: ShouldStop,
    *,
    resume: bool,
) -> Iterator[Recording]:
    """The recording of a run that is running in the store; an error in it ends the run."""
    tell = to_all(*listeners)
    begun = _started(made, job.spec, store, resume)
    with (
        attached(plugins, begun, job.device, tell) as told,
        ending(made.id, store, job.spec, (*listeners, told)),
        Recorder(store, made.id, tell=tell, should_stop=should_stop) as recorder,
    ):
        emit = to_all(recorder, *listeners, told)
        keep_listeners(store.folder(made.id), [named.part for named in plugins])
        told.begin(emit)
        yield Recording(job, made, registry, store, recorder, emit, should_stop, resumed=resume)


def _started(made: Run, spec: RunSpec, store: Store, resumed: bool) -> StartedRun:
    """What the listeners of plugins are told of a run."""
    return StartedRun(
        id=made.id,
        name=made.name,
        tags=made.tags,
        spec=spec,
        params=store.params(made.id),
        folder=store.folder(made.id),
        store=store.url,
        resumed=resumed,
    )


def _scored(store: Store, made: Run, epoch: int) -> set[tuple[str, str]]:
    """The samplers, with their settings, for which the run itself has computed its final scores.

    Scores that an evaluation has added meanwhile don't count.
    """
    return {
        (score.sampler, canonical_json(score.sampler_settings))
        for score in store.scores(made.id)
        if score.origin == "run" and score.epoch == epoch
    }


def _own_sampler(spec: RunSpec, registry: Registry) -> tuple[Part, Sampler] | None:
    """The model's own sampler; None if it has none, so that pictures show the generator."""
    if registry.get("model", spec.model).default_sampler is None:
        return None
    [found] = build_samplers([default_sampler(spec, registry)], registry, strict=False)
    return found


def to_all(*listeners: Listener) -> Listener:
    """One listener that passes each event on to all of these."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
