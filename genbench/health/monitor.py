"""The monitor: cheap metrics of few samples between epochs, with warnings.

It doesn't affect the training, since generators are forked around it, and can be switched off. The
epochs of its probes depend on numbers of images, so that a resumed run has the same ones. After an
expensive probe, the next one is postponed, which depends on the time it took; the epoch of the next
probe is therefore stored (``watch/next``) for a resumed run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from genbench.contracts import Metric, Sampler
from genbench.evaluation import SAMPLING, evaluate
from genbench.evaluation.job import Job
from genbench.events import EpochDone, Evaluated, Event, Listener, Resumed, StepsDone, Warned
from genbench.health.advice import suggestions
from genbench.health.signs import Health, Observation
from genbench.settings import Settings
from genbench.spec import Part
from genbench.store import Store

SAMPLES = 500
BATCH = 100
"""Samples per minibatch: few enough to need less memory than a training step."""
IMAGES = 12_000
"""The minimum training images between two probes, so that they cost at most about 8 % of training.

That is for the fastest training there is, the second stage of vaegan on the digits; on MNIST, where
a probe comes once an epoch, it is 0.3 to 2.4 %.
"""
SHARE = 0.05
"""The maximum share of the training time for probes that take more than `FREE_S`."""
FREE_S = 0.5
"""Probes of fewer seconds never postpone the next one, since they are hard to measure."""
NEXT = "next"
"""The name of the series with the epoch of the next probe, counted within the stage."""


class Monitor:
    """Probes and checks one run after its epochs, and emits scores and warnings.

    Scores become series, such as ``watch/classes``, at the last step of an epoch. Only the last
    stage is probed: before it, the generating networks are not trained. Every epoch is checked.
    """

    def __init__(
        self,
        job: Job,
        *,
        samplers: Sequence[tuple[Part, Sampler]],
        metrics: Sequence[tuple[Part, Metric]],
        settings: Settings,
        emit: Listener,
    ) -> None:
        self._job, self._emit = job, emit
        self._stage, self._epochs = job.stages[-1]
        self._samplers, self._metrics = samplers, metrics
        self._next = 0
        data = job.data.spec

        def advice(kind: str) -> list[str]:
            return suggestions(kind, type(settings), settings.model_dump(), data)

        self._health = Health(classes=data.classes, advice=advice)

    def after(self, done: EpochDone) -> None:
        """Probe the model, which is in eval mode, and check the results of an epoch."""
        is_due = self._is_due(done)
        probed = self._scores(done) if is_due else {}
        series = {f"watch/{name}": [(done.step, value)] for name, value in probed.items()}
        if is_due and self._next:
            series[f"watch/{NEXT}"] = [(done.step, float(self._next))]
        if series:
            self._emit(StepsDone(stage=done.stage, epoch=done.epoch, step=done.step, series=series))
        observation = Observation(
            epoch=done.epoch,
            step=done.step,
            losses=_finite(done.losses),
            probed=_finite(probed),
        )
        for warned in self._health.check(observation):
            self._emit(warned)

    def recalling(self, store: Store, run_id: str) -> Listener:
        """A listener that checks the stored epochs again when a run is resumed.

        Their warnings are not emitted again.
        """

        def listen(event: Event) -> None:
            if isinstance(event, Resumed):
                for observation in stored_observations(store, run_id):
                    self._health.check(observation)
                stored = store.series(run_id, f"watch/{NEXT}")
                self._next = int(stored[-1][1] or 0) if stored else 0

        return listen

    def _is_due(self, done: EpochDone) -> bool:
        if done.stage != self._stage or not self._metrics:
            return False
        if done.stage_epoch < self._next:
            return False
        every = math.ceil(IMAGES / max(1, done.images))
        return done.stage_epoch % every == 0 or done.stage_epoch == self._epochs

    def _postpone(self, done: EpochDone, seconds: float) -> None:
        """Set the epoch of the next probe, so that probes don't exceed their share of the time."""
        self._next = 0
        if seconds > FREE_S and done.train_s > 0:
            epochs = math.ceil(seconds / (SHARE * done.train_s))
            self._next = done.stage_epoch + epochs if epochs > 1 else 0

    def _drop(self, record: Evaluated) -> None:
        """Remove the metrics that raised an error, with one warning."""
        names = {part.name for part, _ in self._metrics if part.name in record.traces}
        self._metrics = [pair for pair in self._metrics if pair[0].name not in names]
        for reason in dict.fromkeys(record.skipped[name] for name in sorted(names)):
            message = f"the monitor continues without {', '.join(sorted(names))}: {reason}"
            self._emit(Warned(epoch=record.epoch, kind="watch", message=message))

    def _scores(self, done: EpochDone) -> dict[str, float]:
        job, found = self._job, dict[str, float]()
        for evaluated in evaluate(
            job.model,
            job.data,
            samplers=self._samplers,
            metrics=self._metrics,
            device=job.device,
            n=SAMPLES,
            seed=job.spec.seed,
            cache=job.access.cache,
            offline=True,
            epoch=done.epoch,
            stage=done.stage,
            batch_size=BATCH,
            quick=True,
            owner=job.owner,
        ):
            found |= {score.metric: score.value for score in evaluated.scores}
            self._drop(evaluated)
            self._postpone(done, evaluated.seconds.get(SAMPLING, 0.0))
        return found


def stored_observations(store: Store, run_id: str) -> list[Observation]:
    """The observations of all stored epochs of a run."""
    series = {
        key.removeprefix("watch/"): dict(store.series(run_id, key))
        for key in store.keys(run_id)
        if key.startswith("watch/") and key != f"watch/{NEXT}"
    }
    return [
        Observation(
            epoch=epoch.epoch,
            step=epoch.step,
            losses=epoch.losses,
            probed={name: at[epoch.step] for name, at in series.items() if epoch.step in at},
        )
        for epoch in store.epochs(run_id)
    ]


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values as the store returns them."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
