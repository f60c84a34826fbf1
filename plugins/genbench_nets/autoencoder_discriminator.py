"""Autoencoders as discriminators, with their generators.

The reconstruction error of such a discriminator is an energy, which is low for real samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Phase, Schedule, Stage
from genbench_nets.adversarial_networks import decided, dense_layers
from genbench_nets.adversarial_training import two_adams
from genbench_nets.energy_settings import EnergySettings
from genbench_nets.mlp import Unflatten, flat_size, mlp
from genbench_nets.prior_noise import draw_prior
from genbench_nets.resize_conv import subsampling_encoder, upsampling_decoder


class ReconstructingDiscriminator(nn.Module):
    """x (B, *shape) -> its reconstruction, through codes (B, code).

    The decoder ends in a linear layer, whatever the range of x: the error of a bounded output could
    not be raised to any margin.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The reconstruction (B, *shape), and the codes (B, code) that it came from."""
        codes: Tensor = self.encoder(x)
        reconstruction: Tensor = self.decoder(codes)
        return reconstruction, codes


class EnergyModel:
    """G: z -> x and D: x -> reconstruction; the score of a sample is minus its energy.

    The energy is ``error(reconstruction, x)``, (B,), at least 0. A paper says by its phases how
    both are trained (`trained_by`). The settings must be fitted to the data.
    """

    averaged = ("generator",)
    mixes_samples = False

    def __init__(
        self,
        settings: EnergySettings,
        data: DataSpec,
        error: Callable[[Tensor, Tensor], Tensor],
        *,
        schedule: Schedule | None = None,
    ) -> None:
        self.settings = s = settings
        self.prior_kind, self._error = s.prior, error
        self.generator, self.discriminator = energy_networks(s, data)
        self.nets = nn.ModuleDict(
            {"generator": self.generator, "discriminator": self.discriminator}
        )
        self._optimizers = two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1, schedule=schedule)
        self._phases: tuple[Phase, ...] = ()

    def trained_by(self, *phases: Phase) -> Self:
        """The model itself, with these phases as its one stage."""
        self._phases = phases
        return self

    def optimizers(self) -> Mapping[str, Optimizer]:
        """``d`` and ``g``: Adam for each network."""
        return self._optimizers

    def stages(self) -> tuple[Stage, ...]:
        """One stage of the phases that it was given."""
        return (Stage(name="train", phases=self._phases),)

    def fake(self, batch: Batch) -> Tensor:
        """G(z) on fresh noise, as many as the batch has samples."""
        sample: Tensor = self.generator(self.prior(len(batch)))
        return sample

    def energy_and_codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The energies (B,), and D's codes (B, code)."""
        reconstruction, codes = self.discriminator(x)
        return self._error(reconstruction, x), codes

    def energy(self, x: Tensor) -> Tensor:
        """The energies (B,)."""
        return self.energy_and_codes(x)[0]

    # --- what it can do

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I) or U(-1, 1), (n, z_dim)."""
        shape = (n, decided(self.settings.z_dim))
        return draw_prior(self.nets, shape, generator, self.prior_kind)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        sample: Tensor = self.generator(z)
        return sample.float()

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Minus the energy, (B,): a score that rises with realness, no logit."""
        return -self.energy(h)


def energy_networks(
    settings: EnergySettings, data: DataSpec
) -> tuple[nn.Sequential, ReconstructingDiscriminator]:
    """Generator and discriminator of `settings.fitted(data)` on the CPU, built in this order.

    Fully connected networks have ReLU, and their generator is batch-normalised.
    """
    s = settings
    z_dim, code = decided(s.z_dim), decided(s.code)
    squash = [nn.Tanh()] if data.bounded else []
    if s.network == "conv":
        generator = nn.Sequential(upsampling_decoder(data.shape, s.channels, z_dim), *squash)
        return generator, ReconstructingDiscriminator(
            subsampling_encoder(data.shape, s.channels, code),
            upsampling_decoder(data.shape, s.channels, code),
        )
    g_hidden, values = decided(s.g_hidden), flat_size(data.shape)
    widths = (code, *reversed(decided(s.d_hidden)), values)
    generator = nn.Sequential(
        *dense_layers((z_dim, *g_hidden), act="relu", norm="batch"),
        nn.Linear(g_hidden[-1], values),
        *squash,
        Unflatten(data.shape),
    )
    return generator, ReconstructingDiscriminator(
        nn.Sequential(nn.Flatten(), *mlp(widths[::-1])),
        nn.Sequential(*mlp(widths), Unflatten(data.shape)),
    )


def euclidean_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """The norm of the difference over all values of a sample, (B,), in float32."""
    difference = (reconstruction.float() - x.float()).flatten(1)
    norm: Tensor = torch.linalg.vector_norm(difference, dim=1)
    return norm


def squared_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """The squared difference as a mean over a sample's values, (B,), in float32."""
    return (reconstruction.float() - x.float()).square().flatten(1).mean(1)


def absolute_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """The absolute difference as a mean over a sample's values, (B,), in float32."""
    return (reconstruction.float() - x.float()).abs().flatten(1).mean(1)
