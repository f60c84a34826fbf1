"""A look at the generator between epochs: cheap metrics of few samples, and what they warn of.

It moves no number of the training: generators are forked around it, and it may be switched off.
Which epochs it looks at follows from counts of images, so that a resumed run looks at the same
ones. Where a look turns out expensive, the next one waits until training has taken its time: that
goes by the clock, and the epoch that it gives is stored (``watch/next``), for a resumed run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from genbench.contracts import Data, DataAccess, Metric, Sampler
from genbench.evaluation import SAMPLING, Owner, evaluate
from genbench.events import EpochDone, Evaluated, Event, Listener, Resumed, StepsDone, Warned
from genbench.health.advice import suggestions
from genbench.health.signs import Health, Look
from genbench.settings import Settings
from genbench.spec import Part, RunSpec
from genbench.store import Store

SAMPLES = 500
BATCH = 100
"""Samples at a time: a training step of the same model needs more memory."""
IMAGES = 6_000
"""Training images between two looks at least: so a look costs some 2 % of them, or less."""
SHARE = 0.05
"""Of the training's seconds, what drawing for looks may take where one takes more than `FREE_S`."""
FREE_S = 0.5
"""Seconds of drawing that put nothing off: what is shorter is lost in the noise of a clock."""
NEXT = "next"
"""The name of the series that holds the epoch of the next look, of the stage."""


class Monitor:
    """Looks at one run after its epochs, and tells ``emit`` what it sees.

    Scores become series, ``watch/classes`` and so on, at the epoch's last step. Only the last
    stage is looked at: before it, what generates is not trained. Judged is every epoch.
    """

    def __init__(
        self,
        model: Any,
        data: Data,
        spec: RunSpec,
        *,
        samplers: Sequence[tuple[Part, Sampler]],
        metrics: Sequence[tuple[Part, Metric]],
        owner: Owner,
        settings: Settings,
        device: torch.device,
        access: DataAccess,
        stages: Sequence[tuple[str, int]],
        emit: Listener,
    ) -> None:
        self._model, self._data, self._spec, self._device = model, data, spec, device
        self._access, self._emit = access, emit
        self._stage, self._epochs = stages[-1]
        self._samplers, self._metrics, self._owner = samplers, metrics, owner
        self._next = 0
        self._health = self._judge(settings)

    def after(self, done: EpochDone) -> None:
        """Look, and judge what an epoch left; in eval mode."""
        is_due = self._is_due(done)
        watched = self._scores(done) if is_due else {}
        series = {f"watch/{name}": [(done.step, value)] for name, value in watched.items()}
        if is_due and self._next:
            series[f"watch/{NEXT}"] = [(done.step, float(self._next))]
        if series:
            self._emit(StepsDone(stage=done.stage, epoch=done.epoch, step=done.step, series=series))
        look = Look(
            epoch=done.epoch,
            step=done.step,
            losses=_finite(done.losses),
            watched=_finite(watched),
        )
        for warned in self._health.judge(look):
            self._emit(warned)

    def recalling(self, store: Store, run_id: str) -> Listener:
        """A listener that shows the judge what is stored, once a resumed run has been rewound.

        What it is warned of then was told before.
        """

        def listen(event: Event) -> None:
            if isinstance(event, Resumed):
                for look in stored_looks(store, run_id):
                    self._health.judge(look)
                told = store.series(run_id, f"watch/{NEXT}")
                self._next = int(told[-1][1] or 0) if told else 0

        return listen

    def _is_due(self, done: EpochDone) -> bool:
        if done.stage != self._stage or not self._metrics:
            return False
        if done.stage_epoch < self._next:
            return False
        every = math.ceil(IMAGES / max(1, done.images))
        return done.stage_epoch % every == 0 or done.stage_epoch == self._epochs

    def _put_off(self, done: EpochDone, seconds: float) -> None:
        """Set the epoch of the next look, so that looks take their share of the time at most."""
        self._next = 0
        if seconds > FREE_S and done.train_s > 0:
            epochs = math.ceil(seconds / (SHARE * done.train_s))
            self._next = done.stage_epoch + epochs if epochs > 1 else 0

    def _drop(self, record: Evaluated) -> None:
        """Leave out from here on what raised: nobody asked for it, and one warning is enough."""
        names = {part.name for part, _ in self._metrics if part.name in record.traces}
        self._metrics = [pair for pair in self._metrics if pair[0].name not in names]
        for reason in dict.fromkeys(record.skipped[name] for name in sorted(names)):
            message = f"the watch goes on without {', '.join(sorted(names))}: {reason}"
            self._emit(Warned(epoch=record.epoch, kind="watch", message=message))

    def _scores(self, done: EpochDone) -> dict[str, float]:
        found: dict[str, float] = {}
        for evaluated in evaluate(
            self._model,
            self._data,
            samplers=self._samplers,
            metrics=self._metrics,
            device=self._device,
            n=SAMPLES,
            seed=self._spec.seed,
            cache=self._access.cache,
            offline=True,
            epoch=done.epoch,
            stage=done.stage,
            batch_size=BATCH,
            quick=True,
            owner=self._owner,
        ):
            found |= {score.metric: score.value for score in evaluated.scores}
            self._drop(evaluated)
            self._put_off(done, evaluated.seconds.get(SAMPLING, 0.0))
        return found

    def _judge(self, settings: Settings) -> Health:
        data = self._data.spec

        def advice(kind: str) -> list[str]:
            return suggestions(kind, type(settings), settings.model_dump(), data)

        return Health(classes=data.classes, advice=advice)


def stored_looks(store: Store, run_id: str) -> list[Look]:
    """What a run's judge has seen, from its first epoch to its last one in the store."""
    series = {
        key.removeprefix("watch/"): dict(store.series(run_id, key))
        for key in store.keys(run_id)
        if key.startswith("watch/") and key != f"watch/{NEXT}"
    }
    return [
        Look(
            epoch=epoch.epoch,
            step=epoch.step,
            losses=epoch.losses,
            watched={name: at[epoch.step] for name, at in series.items() if epoch.step in at},
        )
        for epoch in store.epochs(run_id)
    ]


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """As the store gives them back."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
