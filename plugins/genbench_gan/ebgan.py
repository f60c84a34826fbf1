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

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genbench import MONITOR, Batch, DataSpec, Preset, Terms, Training
from genbench_nets.adversarial_settings import Sizes
from genbench_nets.energy_settings import SIZES, EnergySettings

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_nets.autoencoder_discriminator import EnergyModel


class EBGANSettings(EnergySettings):
    """An autoencoder for a discriminator; any shape of data, conv 28, 32 or 64 px."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=64)
    sizes: ClassVar[Sizes] = {
        "image": {**SIZES["image"], "margin": 10.0},
        "points": {**SIZES["points"], "margin": 1.0},
        "latents": {**SIZES["latents"], "margin": 3.0},
    }

    energy: Literal["norm", "mse"] = Field(
        "norm",
        description="error of the autoencoder: its norm over the values of a sample, or the "
        "mean square",
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="energy above which a generated sample has no loss; by default 10, 3 for "
        "latents, or 1 for points",
    )
    pull_away: float = Field(0.0, ge=0, description="weight of the pulling-away term on the codes")


class EBGANPTSettings(EBGANSettings):
    """The settings of EBGAN with the pulling-away term."""

    pull_away: float = Field(0.1, gt=0, description="weight of the pulling-away term on the codes")


def ebgan(settings: EBGANSettings, data: DataSpec) -> EnergyModel:
    """Generator z -> x, discriminator x -> reconstruction; its score is minus the energy."""
    import torch

    from genbench_nets.adversarial_losses import monitors
    from genbench_nets.adversarial_networks import decided
    from genbench_nets.adversarial_training import alternating_phases
    from genbench_nets.autoencoder_discriminator import EnergyModel, euclidean_error, squared_error

    settings.check(data)
    s = settings.fitted(data)
    model = EnergyModel(s, data, euclidean_error if s.energy == "norm" else squared_error)
    model.mixes_samples = s.pull_away > 0
    margin = decided(s.margin)

    def d_loss(batch: Batch) -> Terms:
        """D(x) + max(0, m - D(G(z))) (eq. 1)."""
        with torch.no_grad():
            fake = model.fake(batch)
        real_energy, fake_energy = model.energy(batch.x), model.energy(fake)
        lacking = torch.relu(margin - fake_energy)
        return {
            "d": {"real": real_energy.mean(), "fake": lacking.mean()},
            MONITOR: monitors(-real_energy, -fake_energy, threshold=None),
        }

    def g_loss(batch: Batch) -> Terms:
        """D(G(z)) on fresh noise (eq. 2); the pulling-away term only changes G."""
        energies, codes = model.energy_and_codes(model.fake(batch))
        terms = {"energy": energies.mean()}
        if s.pull_away:
            terms["pull_away"] = s.pull_away * pulling_away(codes)
        return {"g": terms}

    return model.trained_by(*alternating_phases(d_loss, g_loss))


def pulling_away(codes: Tensor) -> Tensor:
    """f_PT of codes S (N, D), N > 1: the mean of cos^2(S_i, S_j) over all pairs i != j, in [0, 1].

    Section 2.4; in float32. The square makes opposite directions as bad as equal ones.
    """
    import torch
    import torch.nn.functional as F

    n = len(codes)
    # Autocast would compute the product in bf16, with errors of up to 0.4 % in the cosines.
    with torch.autocast(codes.device.type, enabled=False):
        directions = F.normalize(codes.float(), dim=1)
        squares = (directions @ directions.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (n * (n - 1))


HSE2022 = {"margin": 10.0, "g_lr": 1e-3, "d_lr": 1e-3, "beta1": 0.9}

PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Zhao et al. 2017, section 4.1 (MNIST)",
        datasets=("mnist",),
        settings=HSE2022,
        note="the lecture gives losses, margin and rate; widths, batch and length are genbench's",
    ),
)
PT_PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Zhao et al. 2017, sections 2.4 and 4.1 (MNIST)",
        datasets=("mnist",),
        settings={**HSE2022, "pull_away": 0.1},
        note="the cosines are squared, as in the paper; the lecture prints them without the square",
    ),
)
