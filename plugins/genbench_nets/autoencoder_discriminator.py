"""Autoencoders as discriminators, and their generators.

The reconstruction error of such a discriminator is an energy: low on what is real.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench import DataSpec
from genbench_nets.adversarial_networks import decided, dense_layers
from genbench_nets.energy_settings import EnergySettings
from genbench_nets.mlp import Activation, Unflatten, flat_size, mlp
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


@dataclass(frozen=True, kw_only=True)
class EnergyNetworks:
    """``generator(z)`` -> (B, *shape), images by tanh, and the discriminator."""

    generator: nn.Module
    discriminator: ReconstructingDiscriminator


def energy_networks(settings: EnergySettings, data: DataSpec, *, act: Activation) -> EnergyNetworks:
    """The networks of `settings.fitted(data)`, on the CPU; the generator is built first.

    ``act`` is the activation of the fully connected networks, whose generator is batch-normalised.
    """
    s = settings
    z_dim, code = decided(s.z_dim), decided(s.code)
    squash = [nn.Tanh()] if data.bounded else []
    if s.network == "conv":
        return EnergyNetworks(
            generator=nn.Sequential(upsampling_decoder(data.shape, s.channels, z_dim), *squash),
            discriminator=ReconstructingDiscriminator(
                subsampling_encoder(data.shape, s.channels, code),
                upsampling_decoder(data.shape, s.channels, code),
            ),
        )
    g_hidden, values = decided(s.g_hidden), flat_size(data.shape)
    widths = (code, *reversed(decided(s.d_hidden)), values)
    return EnergyNetworks(
        generator=nn.Sequential(
            *dense_layers((z_dim, *g_hidden), act=act, norm="batch"),
            nn.Linear(g_hidden[-1], values),
            *squash,
            Unflatten(data.shape),
        ),
        discriminator=ReconstructingDiscriminator(
            nn.Sequential(nn.Flatten(), *mlp(widths[::-1], act=act)),
            nn.Sequential(*mlp(widths, act=act), Unflatten(data.shape)),
        ),
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
