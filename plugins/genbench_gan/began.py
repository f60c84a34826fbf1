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

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Phase, Preset, Schedule, Terms, Training
from genbench_nets.adversarial_settings import Sizes
from genbench_nets.energy_settings import SIZES, EnergySettings

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_nets.autoencoder_discriminator import EnergyModel


class BEGANSettings(EnergySettings):
    """An L1 autoencoder for a discriminator, kept in balance; any data, conv 28, 32 or 64 px."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=64)

    sizes: ClassVar[Sizes] = {**SIZES, "image": {**SIZES["image"], "code": 64}}

    code: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="size of the code; by default 64, 8 for latents, or 2 for points",
    )
    prior: Literal["normal", "uniform"] = Field(
        "uniform", description="z ~ N(0, I), or U(-1, 1) in each dimension"
    )
    gamma: float = Field(
        0.85,
        gt=0,
        le=1,
        description="target of L(G(z)) / L(x); lower values give sharper, less diverse samples",
    )
    k_rate: float = Field(0.02, gt=0, le=1, description="lambda, the gain of k's controller")
    halvings: int = Field(
        4, ge=1, le=100, description="how often the learning rates are halved in a run"
    )


def began(settings: BEGANSettings, data: DataSpec) -> EnergyModel:
    """Generator z -> x, discriminator x -> reconstruction; its score is minus the L1 error.

    k is a buffer of the net ``balance``. The learning rates are halved at equal shares of the run.
    """
    import torch

    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.autoencoder_discriminator import EnergyModel, absolute_error

    settings.check(data)
    s = settings.fitted(data)
    halved = Schedule(kind="step", gamma=0.5, every=1 / (s.halvings + 1))
    model = EnergyModel(s, data, absolute_error, schedule=halved)
    balance = model.nets["balance"] = torch.nn.Module()
    balance.register_buffer("k", torch.zeros(()))

    def loss(batch: Batch) -> Terms:
        """L_D on noise z_D and L_G on other noise z_G; k_t and M as they stand at this step."""
        k = balance.get_buffer("k")
        with torch.no_grad():
            fake = model.fake(batch)
        real_energy, fake_energy = model.energy(batch.x), model.energy(fake)
        real, generated = real_energy.mean(), model.energy(model.fake(batch)).mean()
        return {
            "d": {"real": real, "fake": -k * fake_energy.mean()},
            "g": {"energy": generated},
            MONITOR: {
                **monitors(-real_energy, -fake_energy, threshold=None),
                "k": k.clone(),
                "convergence": (real + (s.gamma * real - generated).abs()).detach(),
            },
        }

    def rebalance(terms: Terms) -> None:
        """k_t -> k_{t+1}, in place."""
        k = balance.get_buffer("k")
        k.copy_(next_k(k, terms["d"]["real"], terms["g"]["energy"], gamma=s.gamma, rate=s.k_rate))

    return model.trained_by(Phase(name="joint", loss=loss, updates=("d", "g"), after=rebalance))


def next_k(k: Tensor, real: Tensor, fake: Tensor, *, gamma: float, rate: float) -> Tensor:
    """k_{t+1} of k_t, L(x) and L(G(z)): it keeps L(G(z)) at gamma L(x)."""
    return (k + rate * (gamma * real - fake)).clamp(0.0, 1.0)


PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Berthelot et al. 2017, section 4",
        datasets=("mnist", "image-folder"),
        batch_size=16,
        settings={
            "network": "conv",
            "channels": 64,
            "z_dim": 64,
            "code": 64,
            "prior": "uniform",
            "gamma": 0.5,
            "k_rate": 1e-3,
            "g_lr": 1e-4,
            "d_lr": 1e-4,
            "beta1": 0.9,
        },
        note="the paper trains on faces; its rates are halved when M stalls, ours four times a run",
    ),
)
