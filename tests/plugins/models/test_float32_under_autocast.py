"""Whatever the networks run in, losses that need float32 are computed in it: same values in bf16.

Given float32 inputs, a loss of `genbench_nets` has under bf16 autocast the value that it has
without. Where a gradient of a network is penalised, its pass is float32 too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genbench_gan.ebgan import pulling_away
from genbench_nets import bernoulli, elbo_terms as elbo
from genbench_nets.adversarial_losses import fake_loss, real_loss
from genbench_nets.autoencoder_discriminator import absolute_error, euclidean_error, squared_error
from genbench_nets.codebook import Codebook
from genbench_nets.contraction import contraction
from genbench_nets.decoder_output import DecoderOutput
from genbench_nets.feature_matching import group_means, means_distance, pair_distance
from genbench_nets.minibatch_std import minibatch_std
from genbench_nets.mixture import GaussianMixture
from genbench_nets.penalties import feature_distance, gradient_penalty, r1_penalty

N, D = 64, 32
torch.manual_seed(0)
A, B = torch.randn(N, D), torch.randn(N, D) + 0.1 * torch.ones(D)
SCORES = torch.randn(N)
GROUPS = torch.arange(N) % 4
NET = nn.Sequential(nn.Linear(D, 64), nn.Tanh(), nn.Linear(64, 1))
CODES = Codebook(16, D, decay=0.9, revive=0.0).eval()
MIXTURE = GaussianMixture(3, D)


def score(x: Tensor) -> Tensor:
    return NET(x).squeeze(1)


def iwae_bound() -> Tensor:
    z = elbo.sample_posterior(A, B)
    return elbo.log_importance_weight(SCORES, z, A, B)


LOSSES: dict[str, Callable[[], Tensor]] = {
    "pulling_away": lambda: pulling_away(A),
    "gradient_penalty": lambda: gradient_penalty(score, A, B),
    "r1_penalty": lambda: r1_penalty(score, A),
    "contraction": lambda: contraction(NET, A),
    "relative contraction": lambda: contraction(NET, A, relative=True),
    "estimated contraction": lambda: contraction(NET, A, directions=1),
    "kl_to_normal": lambda: elbo.kl_to_normal(A, B),
    "bernoulli": lambda: elbo.bernoulli_log_likelihood(A, B.sign()),
    "gaussian": lambda: elbo.gaussian_log_likelihood(A, torch.zeros(()), B),
    "importance weight": iwae_bound,
    "reconstruction bce": lambda: DecoderOutput(error="bce", bounded=True).loss(A, B.tanh()),
    "reconstruction mse": lambda: DecoderOutput(error="mse", bounded=False).loss(A, B),
    "bits' kl": lambda: bernoulli.kl_to_fair_coins(A),
    "bits' probability": lambda: bernoulli.log_probability(A, (B > 0).float()),
    "energies": lambda: torch.stack(
        [error(A, B).mean() for error in (euclidean_error, squared_error, absolute_error)]
    ),
    "pairs": lambda: pair_distance(A, B),
    "means": lambda: means_distance(group_means(A, GROUPS, 4), group_means(B, GROUPS, 4)),
    "features": lambda: feature_distance(A, B),
    "minibatch_std": lambda: minibatch_std(A),
    "nearest codes": lambda: CODES(A).indices.float(),
    "mixture's density": lambda: MIXTURE.log_prob(A),
    "mixture's draws": lambda: MIXTURE(torch.cat((A[:, :1], B), dim=1)),
    "d losses": lambda: torch.stack((real_loss(SCORES, 0.9), fake_loss(SCORES - 1))),
    "g loss": lambda: real_loss(SCORES),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_under_bf16_autocast_is_the_one_in_float32(name):
    torch.manual_seed(1)
    expected = LOSSES[name]()
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name]()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_posterior_of_bf16_networks_is_sampled_in_float32():
    """Rounded to 8 bits, a draw of a narrow posterior would lie at a few places only."""
    mean, logvar = torch.full((1000, 1), 3.0), torch.full((1000, 1), -10.0)
    z = elbo.sample_posterior(mean.bfloat16(), logvar.bfloat16())
    assert z.dtype == torch.float32
    assert len(z.unique()) > 900
