"""Score a run between its epochs and with its final weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from genbench.contracts import Data, DataAccess, Metric, Model, Sampler
from genbench.evaluation.evaluating import evaluate
from genbench.evaluation.faults import Owner, no_owner
from genbench.evaluation.run_files import save_beside
from genbench.evaluation.stoppable import StoppableSampler
from genbench.events import ArtifactMade, EpochDone, Listener, ShouldStop
from genbench.spec import Part, RunSpec, canonical_json


class RunScores:
    """Scores one run and emits the results.

    All epochs have the same evaluation seed, so that scores differ by the weights only.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        spec: RunSpec,
        *,
        samplers: Sequence[tuple[Part, Sampler]],
        metrics: Sequence[tuple[Part, Metric]],
        device: torch.device,
        access: DataAccess,
        stages: Sequence[tuple[str, int]],
        folder: Path,
        emit: Listener,
        should_stop: ShouldStop,
        owner: Owner = no_owner,
    ) -> None:
        self.model, self.data, self.spec, self.device = model, data, spec, device
        self.samplers, self.metrics, self.owner = samplers, metrics, owner
        self.access, self.folder, self.emit, self.should_stop = access, folder, emit, should_stop
        self.last_stage = stages[-1][0]
        self.last_epoch = sum(epochs for _, epochs in stages)

    def between_epochs(self, done: EpochDone) -> None:
        """Score after this epoch if the settings of the run say so, except after the last one.

        A stop request waits until the checkpoint of the epoch has been written.
        """
        every = self.spec.evaluate_every
        if every and done.epoch % every == 0 and done.epoch != self.last_epoch:
            self._score(self.samplers, done.epoch, done.stage)

    def at_the_end(self, *, scored: Collection[tuple[str, str]] = ()) -> None:
        """Score the model with its final weights, in eval mode.

        ``scored`` are samplers, with their settings as canonical JSON, that are left out, since a
        run that was stopped here has their scores. Raises InterruptedRunError on a stop.
        """
        samplers = [(p, StoppableSampler(s, self.should_stop)) for p, s in self.samplers]
        self._score(samplers, self.last_epoch, self.last_stage, scored)

    def _score(
        self,
        samplers: Sequence[tuple[Part, Sampler]],
        epoch: int,
        stage: str,
        scored: Collection[tuple[str, str]] = (),
    ) -> None:
        """Emit one record per sampler, then one of the model itself, each as soon as it is ready.

        Records in ``scored`` (sampler, its settings) are left out.
        """
        of_model = [(part, metric) for part, metric in self.metrics if metric.uses == "model"]
        of_samples = [pair for pair in self.metrics if pair not in of_model]
        rounds: list[tuple[list[tuple[Part, Sampler]], list[tuple[Part, Metric]]]] = [
            ([(part, sampler)], of_samples)
            for part, sampler in samplers
            if (part.name, canonical_json(part.settings)) not in scored
        ]
        if ("", canonical_json({})) not in scored:
            rounds.append(([], of_model))
        for sampler, metrics in rounds:
            for evaluated in evaluate(
                self.model,
                self.data,
                samplers=sampler,
                metrics=metrics,
                device=self.device,
                n=self.spec.samples,
                repeats=self.spec.repeats,
                seed=self.spec.seed,
                cache=self.access.cache,
                offline=self.access.offline,
                epoch=epoch,
                stage=stage,
                owner=self.owner,
            ):
                self.emit(evaluated)
                named = [part for part, _ in self.samplers]
                for kind, path in save_beside(evaluated, self.folder, self.spec, named):
                    self.emit(ArtifactMade(kind=kind, path=path, epoch=epoch))
