"""A trained model to work with in Python: samples, codes, decoded codes, interpolations.

Images go in and out as NumPy arrays (n, H, W, C) uint8, ready for ``plt.imshow``; points as (n, D)
float32; codes as (n, *code) float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import Conditional, Data, Decodes, Encodes, Generates, Model
from genbench.engine import evaluation
from genbench.errors import IncompatibleError, UsageError
from genbench.evaluation import check_fit, who
from genbench.evaluation.loaded_run import LoadedRun
from genbench.latent.needs import noise
from genbench.latent.paths import path
from genbench.latent.spaces import encoded, in_batches, prior_space
from genbench.pictures.samples import as_shown
from genbench.pixels import stored_as_float
from genbench.registry import Registry
from genbench.runner.build_parts import build_samplers, default_sampler, owner_in
from genbench.runner.stored_runs import draw_samples, labels_of
from genbench.spec import Part, RunSpec

Array = np.ndarray[Any, Any]
Label = int | str
Network = Callable[[Tensor, Tensor | None], Tensor]
"""Rows and their labels -> rows."""


@dataclass(frozen=True)
class TrainedModel:
    """A stored run's model with its last weights, in eval mode. Made by `genbench.load`.

    ``model`` is the plugin's own object and ``data`` the data set that it was trained on. Nothing
    here changes the run, and the global random generators are as before after each call.
    """

    loaded: LoadedRun
    registry: Registry

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.loaded.id

    @property
    def spec(self) -> RunSpec:
        """All that decided the run's numbers."""
        return self.loaded.spec

    @property
    def model(self) -> Model:
        """The model as its plugin defines it."""
        return self.loaded.model

    @property
    def data(self) -> Data:
        """The data set with its splits."""
        return self.loaded.data

    def __repr__(self) -> str:
        return f"<TrainedModel {self.id}: {self.spec.model} on {self.spec.dataset}>"

    def sample(
        self,
        n: int = 64,
        *,
        label: Label | Sequence[Label] | None = None,
        sampler: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Array:
        """Draw ``n`` samples, as ``genbench sample`` with the same seed does.

        ``label`` is a class of a conditional model, by number or name, or several. ``sampler``
        None is the model's own; ``settings`` are those of the sampler. Raises IncompatibleError
        for a model that the sampler or the label doesn't fit, SamplingError if it gives up.
        """
        part = default_sampler(self.spec, self.registry)
        if sampler is not None or settings:
            name = sampler or part.name
            own = part.settings if name == part.name else {}
            part = Part(name=name, settings={**own, **settings})
        [(_, built)] = fitting = build_samplers([part], self.registry)
        check_fit(self.model, fitting, [], self.registry.capabilities, name=self.spec.model)
        wanted = [label] if isinstance(label, int | str) else label
        labels = labels_of(self.loaded, n, wanted, option="label")
        name = who("sampler", part.name, owner_in(self.registry))
        with evaluation(self.model, self.loaded.device):
            samples, failure = draw_samples(self.loaded, built, n, seed, labels, name)
        if failure is not None:
            raise failure
        return _arrays(samples)

    def encode(self, samples: Array | None = None, label: Label | None = None) -> Array:
        """The codes (n, *code) of samples, the means of their posteriors; None: the test split.

        A conditional model needs the ``label`` of samples that are given.
        """
        model = self.model
        if not isinstance(model, Encodes):
            raise self._lacks("encodes")
        if samples is None:
            with evaluation(model, self.loaded.device):
                rows = np.arange(len(self.data.test.x))
                return encoded(model, self.data, rows, self.loaded.device)[0].numpy()
        x = stored_as_float(self._stored(samples))

        def means(few: Tensor, y: Tensor | None) -> Tensor:
            return model.encode(few, y)[0].float()

        return self._through(means, x, self._label(label, len(x))).numpy()

    def decode(self, codes: Array, label: Label | None = None) -> Array:
        """Samples for codes (n, *code); a conditional model needs the ``label``."""
        latents = torch.as_tensor(np.asarray(codes), dtype=torch.float32)
        return self._shown(latents, self._label(label, len(latents)), self._decoder())

    def interpolate(
        self,
        first: Array | None = None,
        second: Array | None = None,
        *,
        steps: int = 10,
        label: Label | None = None,
        seed: int = 0,
    ) -> Array:
        """``steps`` samples on the way from one sample to another: (steps, ...).

        ``first`` and ``second`` are one sample each, without a batch dimension, which the model
        encodes; without them the way leads between two draws of the prior. Where codes or noise
        are normal the way follows the sphere.
        """
        if (first is None) != (second is None):
            raise UsageError("give both samples to interpolate between, or neither")
        if steps < 2:
            raise UsageError(f"steps = {steps}: an interpolation has at least 2")
        if first is not None and second is not None:
            decode = self._decoder()
            ends = torch.from_numpy(self.encode(np.stack((first, second)), label))
            way = path("linear", ends[:1], ends[1:], steps)[0]
            return self._shown(way, self._label(label, steps), decode)
        if not isinstance(self.model, Generates):
            raise self._lacks("generates")
        with evaluation(self.model, self.loaded.device):
            ends = noise(self.model, 2, seed).cpu()
            space = prior_space(self.model, self.data, self.loaded.device)
        way = path("spherical" if space.law == "normal" else "linear", ends[:1], ends[1:], steps)[0]
        return self._shown(way, self._label(label, steps), space.to_samples)

    def _lacks(self, capability: str) -> IncompatibleError:
        return IncompatibleError(
            f"model '{self.spec.model}' of run {self.id} lacks '{capability}'",
            hint="See: genbench models",
        )

    def _decoder(self) -> Network:
        if not isinstance(self.model, Decodes):
            raise self._lacks("decodes")
        return self.model.decode

    def _label(self, label: Label | None, n: int) -> Tensor | None:
        """The classes (n,): all the same one; class 0 where a conditional model is given none."""
        if label is None and not isinstance(self.model, Conditional):
            return None
        return labels_of(self.loaded, n, [0 if label is None else label], option="label")

    def _stored(self, samples: Array) -> Array:
        """Samples as a data set stores them: uint8 (n, C, H, W), or float32 points (n, D)."""
        shape = self.data.spec.shape
        given = np.asarray(samples)
        if len(shape) == 3 and given.ndim == 4:
            given = given.transpose(0, 3, 1, 2)
        if given.shape[1:] != shape or (len(shape) == 3 and given.dtype != np.uint8):
            raise UsageError(
                f"samples of '{self.data.spec.name}' are {_told(shape)}, and these are "
                f"{given.dtype} {np.asarray(samples).shape}"
            )
        return np.ascontiguousarray(given if len(shape) == 3 else given.astype(np.float32))

    def _shown(self, latents: Tensor, y: Tensor | None, to_samples: Network) -> Array:
        def made(few: Tensor, labels: Tensor | None) -> Tensor:
            return as_shown(to_samples(few, labels), self.data)

        return _arrays(self._through(made, latents, y))

    def _through(self, network: Network, x: Tensor, y: Tensor | None) -> Tensor:
        """What a network makes of x (n, ...) in eval mode, on the CPU."""
        device = self.loaded.device
        with evaluation(self.model, device):
            return in_batches(network, x, y, device)


def _arrays(samples: Tensor) -> Array:
    """uint8 (n, C, H, W) as (n, H, W, C); points as they are."""
    array: Array = (samples.permute(0, 2, 3, 1) if samples.dim() == 4 else samples).numpy()
    return np.ascontiguousarray(array)


def _told(shape: Sequence[int]) -> str:
    if len(shape) == 3:
        channels, height, width = shape
        return f"uint8 arrays (n, {height}, {width}, {channels})"
    return f"arrays (n, {shape[0]})"
