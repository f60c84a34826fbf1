"""The deterministic autoencoder: a code for each sample, and a density of the codes.

The `Objective` of a paper says what is learned; everything else is the same for all of them, also
the mixture of Gaussians that they sample from (`genbench_nets.ex_post`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Schedule, Stage, Terms
from genbench_nets.autoencoder_settings import AutoencoderSettings
from genbench_nets.coders import coders
from genbench_nets.decoder_output import DecoderOutput
from genbench_nets.ex_post import ExPostDensity
from genbench_nets.prior_noise import draw_prior

Objective = Callable[["Autoencoder", Tensor], Mapping[str, Tensor]]
"""A model and samples (B, *shape) -> the named terms of the loss."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A Markov chain on samples: ``steps`` times corrupted and reconstructed.

    ``corrupt`` maps samples and standard normal noise of their shape to corrupted samples.
    """

    steps: int
    corrupt: Callable[[Tensor, Tensor], Tensor]


class Autoencoder:
    """Encoder x -> code, decoder code -> x; then noise -> mixture -> code -> x."""

    averaged = ("encoder", "decoder")
    piecewise = True
    mixes_samples = False

    def __init__(
        self,
        settings: AutoencoderSettings,
        data: DataSpec,
        objective: Objective,
        *,
        double_backward: bool = False,
        walk: Walk | None = None,
    ) -> None:
        settings.check(data)
        self.settings = settings
        self._shape, self._walk = data.shape, walk
        self._objective, self._double_backward = objective, double_backward
        self._pixels = DecoderOutput(error=settings.loss, bounded=data.bounded)
        self._density = ExPostDensity(settings, data)
        built = coders(settings, data, outputs=1)
        self.nets = nn.ModuleDict(
            {"encoder": built.encoder, "decoder": built.decoder, "density": self._density}
        )

    # --- training

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam for both networks."""
        s = self.settings
        schedule = Schedule(kind=s.schedule, final=s.lr_final)
        return {"ae": Optimizer(nets=("encoder", "decoder"), lr=s.lr, schedule=schedule)}

    def stages(self) -> tuple[Stage, ...]:
        """Both networks by the objective, validated each epoch; then the density of the codes."""
        phase = Phase(
            name="reconstruct", loss=self.loss, updates=("ae",), compile=not self._double_backward
        )
        train = Stage(name="train", phases=(phase,), validate=self.validate)
        return (train, self._density.stage(lambda x, _: self.encode(x)[0]))

    def loss(self, batch: Batch) -> Terms:
        """The objective's terms."""
        return {"ae": self._objective(self, batch.x)}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms of the loss on the test split, and their sum."""
        terms = self._objective(self, batch.x)
        return {"loss": torch.stack([*terms.values()]).sum(), **terms}

    def error(self, code: Tensor, x: Tensor) -> Tensor:
        """The reconstruction error of x (B, *shape) from codes, 0-dim."""
        return self._pixels.loss(self.nets["decoder"](code), x)

    # --- what it can do

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The codes (B, *code), and -inf for the log-variance: they are certain."""
        code: Tensor = self.nets["encoder"](x)
        return code, torch.full_like(code, -torch.inf)

    def decode(self, code: Tensor, y: Tensor | None = None) -> Tensor:
        """Samples (B, *shape) of codes: images in [-1, 1], points anywhere."""
        return self._pixels.sample(self.nets["decoder"](code))

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the codes of x."""
        return self.decode(self.encode(x)[0])

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, 1 + values of a code), and the noise of the walk where there is one."""
        steps = self._walk.steps if self._walk else 0
        return draw_prior(
            self.nets, (n, self._density.noise + steps * prod(self._shape)), generator
        )

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Decode the mixture's draw for z; then walk, where the model does."""
        start, *rest = z.tensor_split((self._density.noise,), dim=1)
        x = self.decode(self._density(start))
        if self._walk is None:
            return x
        for noise in rest[0].view(z.shape[0], self._walk.steps, *self._shape).unbind(1):
            x = self.reconstruct(self._walk.corrupt(x, noise))
        return x
