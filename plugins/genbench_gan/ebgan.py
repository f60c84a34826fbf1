"""Energy-based GAN (Zhao, Mathieu & LeCun 2017, arXiv:1609.03126), and its EBGAN-PT.

D is an autoencoder, D(x) = ||Dec(Enc(x)) - x|| its energy (section 2.3). With margin m (eq. 1, 2):

    L_D = D(x) + max(0, m - D(G(z))),    L_G = D(G(z)) + 0.1 f_PT(S)    (f_PT in EBGAN-PT only).

The margin depends on the unit. Ours is the Euclidean norm over all pixels in [-1, 1] of one image,
as the formula stands: in an epoch of MNIST a digit's energy comes down to 11, so the paper's m = 10
holds what is generated where the real ones are. The paper's text and the lecture (hse2022) also
speak of a mean squared error, ``energy=mse``: it is 4 at most where both images stay in range, so
m = 10 never stops D from pushing and a margin for it must be far smaller [MNIST, 700 steps of 100,
2,000 samples, seed 0: fd_clf 637 against 126].

We differ in Adam's beta1 of 0.5 (``--preset hse2022``: 0.9) and in widths made for a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Optimizer, Stage, Terms
from genbench_gan.ebgan_settings import EBGANSettings
from genbench_nets.adversarial_losses import monitors
from genbench_nets.adversarial_networks import decided
from genbench_nets.adversarial_training import alternating_phases, two_adams
from genbench_nets.autoencoder_discriminator import energy_networks, euclidean_error, squared_error
from genbench_nets.priors import draw_prior


def pulling_away(codes: Tensor) -> Tensor:
    """f_PT of codes S (N, D), N > 1: the mean of cos^2(S_i, S_j) over all pairs i != j, in [0, 1].

    Section 2.4; in float32. The square makes opposite directions as bad as equal ones.
    """
    n = len(codes)
    # Autocast would take the product in bf16, where cosines are off by up to 0.4 %.
    with torch.autocast(codes.device.type, enabled=False):
        directions = F.normalize(codes.float(), dim=1)
        squares = (directions @ directions.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (n * (n - 1))


class EBGAN:
    """Generator z -> x, discriminator x -> reconstruction; its score is minus the energy."""

    averaged = ("generator",)

    def __init__(self, settings: EBGANSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings = settings.fitted(data)
        self.prior_kind = settings.prior
        self.mixes_samples = settings.pull_away > 0
        networks = energy_networks(settings, data, act="relu")
        self.nets = nn.ModuleDict(
            {"generator": networks.generator, "discriminator": networks.discriminator}
        )
        self._error = euclidean_error if settings.energy == "norm" else squared_error

    def optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for each network."""
        s = self.settings
        return two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1)

    def stages(self) -> tuple[Stage, ...]:
        """A step of D, then one of G."""
        return (Stage(name="train", phases=alternating_phases(self.d_loss, self.g_loss)),)

    def d_loss(self, batch: Batch) -> Terms:
        """D(x), and what D(G(z)) lacks of the margin."""
        with torch.no_grad():
            fake = self.nets["generator"](self.prior(len(batch)))
        real_energy, fake_energy = self.energy(batch.x), self.energy(fake)
        lacking = F.relu(decided(self.settings.margin) - fake_energy)
        return {
            "d": {"real": real_energy.mean(), "fake": lacking.mean()},
            MONITOR: monitors(-real_energy, -fake_energy, threshold=None),
        }

    def g_loss(self, batch: Batch) -> Terms:
        """D(G(z)) on fresh noise; the pulling-away term changes G only, through D's codes."""
        energies, codes = self._judge(self.nets["generator"](self.prior(len(batch))))
        terms = {"energy": energies.mean()}
        if self.settings.pull_away:
            terms["pull_away"] = self.settings.pull_away * pulling_away(codes)
        return {"g": terms}

    def energy(self, x: Tensor) -> Tensor:
        """D(x), (B,), at least 0, in the unit of the settings."""
        return self._judge(x)[0]

    def _judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        reconstruction, codes = self.nets["discriminator"](x)
        return self._error(reconstruction, x), codes

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I) or U(-1, 1), (n, z_dim)."""
        s = self.settings
        return draw_prior(self.nets, (n, decided(s.z_dim)), generator, s.prior)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, *shape); images in [-1, 1]."""
        sample: Tensor = self.nets["generator"](z)
        return sample.float()

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Minus the energy, (B,): a score that rises with realness, no logit."""
        return -self.energy(h)
