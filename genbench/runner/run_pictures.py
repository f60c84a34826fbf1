"""Draw the pictures of a run between its epochs and with its final weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Data, Generates, Picture, Reconstructs, Sampler, Translates
from genbench.evaluation import CAUGHT, checked, fault, sample_context, who
from genbench.evaluation.job import Job
from genbench.evaluation.run_files import write_trace
from genbench.events import ArtifactMade, EpochDone, Listener, Warned
from genbench.latent.code_map import code_map
from genbench.latent.encode import reconstructions
from genbench.latent.translate import translations
from genbench.pictures.domains import domains_of
from genbench.pictures.samples import (
    as_shown,
    default_count,
    described,
    fixed_samples,
    has_images,
    has_pictures,
    is_picture_epoch,
    labels_in_turn,
    save_samples,
)
from genbench.pictures.sheet import save_sheet
from genbench.spec import Part

PAIRS = 32
"""Test images that are kept with their reconstructions."""
TRANSLATED = 10
"""Test images that are kept with their translations."""


class RunPictures:
    """Draws the pictures of one run into its folder, and emits each as an artifact.

    All epochs have the same noise, so that pictures differ by the weights only. ``sampler`` is the
    model's own sampler, if it has one.
    """

    def __init__(
        self, job: Job, *, sampler: tuple[Part, Sampler] | None, folder: Path, emit: Listener
    ) -> None:
        self.model, self.data, self.spec, self.device = job.model, job.data, job.spec, job.device
        self.stages, self.last_epoch, self.owner = job.stages, job.last_epoch, job.owner
        self.sampler, self.folder, self.emit = sampler, folder, emit
        self._faulty: set[str] = set()

    def between_epochs(self, done: EpochDone) -> None:
        """Draw samples after this epoch if the settings of the run say so."""
        if is_picture_epoch(done.epoch, self.stages, self.spec.sample_every):
            with self._harmless("samples", done.epoch):
                self._draw_samples(f"samples/epoch-{done.epoch:04d}.png", done.epoch)

    def at_the_end(self) -> None:
        """Draw the final weights, which the model holds, in eval mode."""
        with self._harmless("samples", self.last_epoch):
            self._draw_samples("samples.png", self.last_epoch)
        with self._harmless("reconstructions", self.last_epoch):
            self._draw_reconstructions()
        with self._harmless("traversal", self.last_epoch):
            self._draw_traversal()
        with self._harmless("translations", self.last_epoch):
            self._keep("translations", self._translations())

    @contextmanager
    def _harmless(self, kind: str, epoch: int) -> Iterator[None]:
        """Turn an error of a picture into one warning; the training continues."""
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
        if self.sampler is not None:
            part, sampler = self.sampler
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
        path = self.folder / name
        labels = labels_in_turn(self.model, len(samples))
        save_samples(samples, labels, self.data, path, self._described(epoch))
        self.emit(ArtifactMade(kind="samples", path=path, epoch=epoch))

    def _draw_reconstructions(self) -> None:
        if has_images(self.data) and isinstance(self.model, Reconstructs):
            rows = np.arange(min(PAIRS, len(self.data.test.x)))
            self._keep("reconstructions", reconstructions(self.model, self.data, self.device, rows))

    def _draw_traversal(self) -> None:
        if has_images(self.data):
            self._keep("traversal", code_map(self.model, self.data, self.device))

    def _translations(self) -> Picture | None:
        """The first test images in all classes, or with each attribute changed."""
        if not (has_images(self.data) and isinstance(self.model, Translates)):
            return None
        rows = np.arange(min(TRANSLATED, len(self.data.test.x)))
        domains = domains_of((), "", self.data.spec)
        return translations(self.model, self.data, self.device, rows, domains)

    def _keep(self, kind: str, picture: Picture | None) -> None:
        """Write a picture of the final weights, unless it is None."""
        if picture is not None:
            path = self.folder / f"{kind}.png"
            save_sheet(picture, path, self._described(self.last_epoch))
            self.emit(ArtifactMade(kind=kind, path=path, epoch=self.last_epoch))

    def _described(self, epoch: int) -> str:
        return described(self.spec, self.folder.name, epoch)


def sampled(
    model: Any, sampler: Sampler, data: Data, *, seed: int, device: torch.device, name: str
) -> Tensor:
    """The samples for a picture, drawn by a sampler (see `genbench.pictures.samples`).

    Raises the errors of `genbench.evaluation.checked`.
    """
    n = default_count(data)
    labels = labels_in_turn(model, n)
    torch.manual_seed(seed)
    context = sample_context(model, data, device=device, seed=seed, labels=labels)
    drawn = checked(sampler.draw(model, n, context), data, n, name)
    return torch.cat([as_shown(samples, data) for samples in drawn])
