"""BEGAN: boundary equilibrium GAN (Berthelot, Schumm & Metz 2017, arXiv:1703.10717).

Section 3.4, with L(v) the L1 error of the autoencoder D as a mean over the pixels in [-1, 1]:

    L_D = L(x) - k_t L(G(z_D)),    L_G = L(G(z_G)),
    k_{t+1} = clip(k_t + lambda (gamma L(x) - L(G(z_G))), 0, 1),    k_0 = 0,
    M = L(x) + |gamma L(x) - L(G(z_G))|,    the measure of convergence (section 3.4.1).

Both networks step at once, in one phase, so that k and M compare errors of the same D. The paper
halves its rates when M stalls; we halve them at equal shares of the run. We differ in the tanh that
ends G for images, and by default in fully connected networks (ReLU, batch normalisation in G),
larger batches, higher rates, a higher gamma and a quicker k, made for a short run on a CPU;
``--preset hse2022`` has the paper's. D must end linearly: by a tanh, its error on grey and on
inverted images falls faster than on digits, k stays 0, and G makes those [tried on MNIST].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Phase, Schedule, Stage, Terms
from genbench_gan.began_settings import BEGANSettings
from genbench_nets.adversarial_losses import monitors
from genbench_nets.adversarial_networks import decided
from genbench_nets.adversarial_training import two_adams
from genbench_nets.autoencoder_discriminator import absolute_error, energy_networks
from genbench_nets.priors import draw_prior


class Balance(nn.Module):
    """The controller that keeps L(G(z)) at ``gamma`` L(x); its k is a buffer, in [0, 1]."""

    k: Tensor

    def __init__(self, *, gamma: float, rate: float) -> None:
        super().__init__()
        self.gamma, self.rate = gamma, rate
        self.register_buffer("k", torch.zeros(()))

    def excess(self, real: Tensor, fake: Tensor) -> Tensor:
        """gamma L(x) - L(G(z)): above 0, G is too good for D's taste."""
        return self.gamma * real - fake

    def convergence(self, real: Tensor, fake: Tensor) -> Tensor:
        """M, 0-dim."""
        return real + self.excess(real, fake).abs()

    def update(self, real: Tensor, fake: Tensor) -> None:
        """k_t -> k_{t+1}, in place."""
        self.k.add_(self.rate * self.excess(real, fake)).clamp_(0.0, 1.0)


class BEGAN:
    """Generator z -> x, discriminator x -> reconstruction; its score is minus the L1 error."""

    averaged = ("generator",)

    def __init__(self, settings: BEGANSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings = settings.fitted(data)
        self.prior_kind = settings.prior
        networks = energy_networks(settings, data, act="relu")
        self.nets = nn.ModuleDict(
            {
                "generator": networks.generator,
                "discriminator": networks.discriminator,
                "balance": Balance(gamma=settings.gamma, rate=settings.k_rate),
            }
        )

    def optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for each network, its learning rate halved at equal shares of the run."""
        s = self.settings
        halved = Schedule(kind="step", gamma=0.5, every=1 / (s.halvings + 1))
        adams = two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1)
        return {name: replace(adam, schedule=halved) for name, adam in adams.items()}

    def stages(self) -> tuple[Stage, ...]:
        """Both networks step together, then k is updated."""
        both = Phase(name="joint", loss=self.loss, updates=("d", "g"), after=self._rebalance)
        return (Stage(name="train", phases=(both,)),)

    def loss(self, batch: Batch) -> Terms:
        """L_D on noise z_D and L_G on other noise z_G; k_t and M as they stand at this step."""
        balance = self._balance
        with torch.no_grad():
            fake = self.nets["generator"](self.prior(len(batch)))
        real_energy, fake_energy = self.energy(batch.x), self.energy(fake)
        real = real_energy.mean()
        generated = self.energy(self.nets["generator"](self.prior(len(batch)))).mean()
        return {
            "d": {"real": real, "fake": -balance.k * fake_energy.mean()},
            "g": {"energy": generated},
            MONITOR: {
                **monitors(-real_energy, -fake_energy, threshold=None),
                "k": balance.k.clone(),
                "convergence": balance.convergence(real, generated).detach(),
            },
        }

    def _rebalance(self, terms: Terms) -> None:
        self._balance.update(terms["d"]["real"], terms["g"]["energy"])

    @property
    def _balance(self) -> Balance:
        balance = self.nets["balance"]
        assert isinstance(balance, Balance)
        return balance

    def energy(self, x: Tensor) -> Tensor:
        """L(x), (B,), at least 0."""
        reconstruction, _ = self.nets["discriminator"](x)
        return absolute_error(reconstruction, x)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ U(-1, 1), or N(0, I), (n, z_dim)."""
        s = self.settings
        return draw_prior(self.nets, (n, decided(s.z_dim)), generator, s.prior)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        sample: Tensor = self.nets["generator"](z)
        return sample.float()

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Minus the energy, (B,): a score that rises with realness, no logit."""
        return -self.energy(h)
