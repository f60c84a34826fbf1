"""Scores and pictures of a run: between its epochs, and of its final weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from genbench.contracts import Data, DataAccess, Generates, Metric, Model, Reconstructs, Sampler
from genbench.engine import RunIdentity, evaluation, load_weights
from genbench.evaluation import CAUGHT, Owner, evaluate, fault, no_owner, who
from genbench.events import ArtifactMade, EpochDone, Listener, Warned
from genbench.latent.code_map import code_map
from genbench.pictures import (
    fixed_samples,
    has_images,
    has_pictures,
    is_picture_epoch,
    reconstruction_pairs,
    save_samples,
)
from genbench.runner.beside import sampled, save_beside, write_trace
from genbench.runner.parts import ShouldStop, StoppableSampler
from genbench.sheet import save_sheet
from genbench.spec import Part, RunSpec, canonical_json
from genbench.store.records import ScoreRecord


class Scoring:
    """Draws and scores one run; what it makes it tells ``emit``.

    The same noise and the same evaluation seed serve every epoch, so that scores and pictures
    differ by the weights alone. ``picturing`` is the model's own sampler, which draws its pictures.
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
        identity: RunIdentity,
        emit: Listener,
        should_stop: ShouldStop,
        owner: Owner = no_owner,
        picturing: tuple[Part, Sampler] | None = None,
    ) -> None:
        self.owner, self.picturing = owner, picturing
        self._faulty: set[str] = set()
        self.model, self.data, self.spec, self.device = model, data, spec, device
        self.samplers, self.metrics = samplers, metrics
        self.access, self.folder, self.emit, self.should_stop = access, folder, emit, should_stop
        self.identity = identity
        self.last_stage = stages[-1][0]
        self.last_epoch = sum(epochs for _, epochs in stages)
        self.stages = stages

    def between_epochs(self, done: EpochDone) -> None:
        """What the run asked for after this epoch; the final weights have their own turn.

        A stop that is asked for meanwhile waits: the epoch's checkpoint is written first.
        """
        if is_picture_epoch(done.epoch, self.stages, self.spec.sample_every):
            with self._harmless("samples", done.epoch):
                self._draw_samples(f"samples/epoch-{done.epoch:04d}.png", done.epoch)
        every = self.spec.evaluate_every
        if every and done.epoch % every == 0 and done.epoch != self.last_epoch:
            self._score(self.samplers, done.epoch, done.stage)

    def at_the_end(self, *, done: Sequence[ScoreRecord] = ()) -> None:
        """Score and draw the final weights, as the checkpoint holds them.

        Samplers of which ``done`` has scores of the last epoch are left out: a run that was
        stopped here goes on with the others. Raises InterruptedRunError on a stop.
        """
        load_weights(self.model, self.folder, self.device, self.identity)
        scored = {
            (score.sampler, canonical_json(score.sampler_settings))
            for score in done
            if score.epoch == self.last_epoch
        }
        with evaluation(self.model, self.device):
            with self._harmless("samples", self.last_epoch):
                self._draw_samples("samples.png", self.last_epoch)
            with self._harmless("reconstructions", self.last_epoch):
                self._draw_reconstructions()
            with self._harmless("traversal", self.last_epoch):
                self._draw_traversal()
            samplers = [(p, StoppableSampler(s, self.should_stop)) for p, s in self.samplers]
            self._score(samplers, self.last_epoch, self.last_stage, scored)

    def _score(
        self,
        samplers: Sequence[tuple[Part, Sampler]],
        epoch: int,
        stage: str,
        scored: Collection[tuple[str, str]] = (),
    ) -> None:
        """One record a sampler, then one of the model itself, each stored as soon as it is taken.

        Records named in ``scored`` (sampler, its settings) are left out.
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
                for kind, path in save_beside(evaluated, self.folder, named):
                    self.emit(ArtifactMade(kind=kind, path=path, epoch=epoch))

    @contextmanager
    def _harmless(self, kind: str, epoch: int) -> Iterator[None]:
        """A picture that can't be drawn is warned of, once, and fails no training."""
        try:
            yield
        except CAUGHT as error:
            found = fault(error, who("model", self.spec.model, self.owner))
            if kind in self._faulty:
                return
            self._faulty.add(kind)
            path = write_trace(self.folder, f"picture-{kind}", epoch, found.trace)
            self.emit(ArtifactMade(kind="traceback", path=path, epoch=epoch))
            message = f"the picture of {kind} is skipped: {found.reason}"
            self.emit(Warned(epoch=epoch, kind="picture_skipped", message=message))

    def _draw_samples(self, name: str, epoch: int) -> None:
        if not has_pictures(self.data):
            return
        if self.picturing is not None:
            part, sampler = self.picturing
            samples = sampled(
                self.model,
                sampler,
                self.data,
                seed=self.spec.seed,
                device=self.device,
                name=who("sampler", part.name, self.owner),
            )
        elif isinstance(self.model, Generates):
            samples = fixed_samples(self.model, self.data, seed=self.spec.seed)
        else:
            return
        self._keep("samples", name, samples, epoch)

    def _draw_reconstructions(self) -> None:
        if has_images(self.data) and isinstance(self.model, Reconstructs):
            images = reconstruction_pairs(self.model, self.data, self.device)
            self._keep("reconstructions", "reconstructions.png", images, self.last_epoch)

    def _draw_traversal(self) -> None:
        sheet = code_map(self.model, self.data, self.device) if has_images(self.data) else None
        if sheet is not None:
            path = self.folder / "traversal.png"
            save_sheet(sheet, path)
            self.emit(ArtifactMade(kind="traversal", path=path, epoch=self.last_epoch))

    def _keep(self, kind: str, name: str, samples: torch.Tensor, epoch: int) -> None:
        path = self.folder / name
        save_samples(samples, self.data, path)
        self.emit(ArtifactMade(kind=kind, path=path, epoch=epoch))
