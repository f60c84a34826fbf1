"""Score a run between its epochs and with its final weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from genbench.contracts import Sampler
from genbench.evaluation.evaluating import evaluate
from genbench.evaluation.job import Job
from genbench.evaluation.run_files import save_beside
from genbench.evaluation.stoppable import StoppableSampler
from genbench.events import ArtifactMade, EpochDone, Listener, ShouldStop
from genbench.spec import Part, canonical_json

OF_MODEL = ("", canonical_json({}))
"""The sampler and its settings in the record of the model's own metrics."""


class RunScores:
    """Scores one run and emits the results.

    All epochs have the same evaluation seed, so that scores differ by the weights only.
    """

    def __init__(self, job: Job, *, folder: Path, emit: Listener, should_stop: ShouldStop) -> None:
        self._job, self._folder, self._emit = job, folder, emit
        self._should_stop = should_stop

    def between_epochs(self, done: EpochDone) -> None:
        """Score after this epoch if the settings of the run say so, except after the last one.

        A stop request waits until the checkpoint of the epoch has been written.
        """
        every = self._job.spec.evaluate_every
        if every and done.epoch % every == 0 and done.epoch != self._job.last_epoch:
            self._score(self._job.samplers, done.epoch, done.stage)

    def at_the_end(self, *, scored: Collection[tuple[str, str]] = ()) -> None:
        """Score the model with its final weights, in eval mode.

        ``scored`` are samplers, with their settings as canonical JSON, that are left out, since a
        run that was stopped here has their scores. Raises InterruptedRunError on a stop.
        """
        samplers = [
            (part, StoppableSampler(sampler, self._should_stop))
            for part, sampler in self._job.samplers
            if (part.name, canonical_json(part.settings)) not in scored
        ]
        last_stage, _ = self._job.stages[-1]
        self._score(samplers, self._job.last_epoch, last_stage, of_model=OF_MODEL not in scored)

    def _score(
        self,
        samplers: Sequence[tuple[Part, Sampler]],
        epoch: int,
        stage: str,
        *,
        of_model: bool = True,
    ) -> None:
        """Emit one record per sampler, then one of the model itself, each as soon as it is ready.

        Without ``of_model``, there is no record of the model.
        """
        job, spec = self._job, self._job.spec
        named = [part for part, _ in job.samplers]
        for evaluated in evaluate(
            job.model,
            job.data,
            samplers=samplers,
            metrics=[pair for pair in job.metrics if of_model or pair[1].uses != "model"],
            device=job.device,
            n=spec.samples,
            repeats=spec.repeats,
            seed=spec.seed,
            cache=job.access.cache,
            offline=job.access.offline,
            epoch=epoch,
            stage=stage,
            owner=job.owner,
        ):
            self._emit(evaluated)
            for kind, path in save_beside(evaluated, self._folder, spec, named):
                self._emit(ArtifactMade(kind=kind, path=path, epoch=epoch))
