"""A mixture of Gaussians as a layer: its draws, its density, and its fit to codes."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.mixture import GaussianMixture as Estimator

from genbench import DataSpec, GenbenchError, IncompatibleError
from genbench.settings import validate
from genbench_nets.ex_post import ExPostDensity
from genbench_nets.ex_post_settings import ExPostSettings
from genbench_nets.mixture import Components, GaussianMixture
from genbench_nets.mixture_fit import fit_mixture

IMAGES = DataSpec(name="x", shape=(1, 8, 8))


def noise(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, 1 + size, generator=torch.Generator().manual_seed(0))


def blobs(n: int = 3000) -> torch.Tensor:
    """Three correlated clusters in 4 dimensions of very different scales."""
    generator = torch.Generator().manual_seed(1)
    which = torch.arange(n) % 3
    turn = torch.randn(3, 4, 4, generator=generator)
    spread = (turn[which] @ torch.randn(n, 4, 1, generator=generator)).squeeze(2)
    centres = 8 * torch.randn(3, 4, generator=generator)
    return (centres[which] + spread) * torch.tensor([1.0, 100.0, 0.01, 3.0]) + 5


def fitted(codes: torch.Tensor, components: int, **options) -> GaussianMixture:
    covariance = options.get("covariance", "full")
    mixture = GaussianMixture(components, codes.shape[1], covariance)
    mixture.adopt(fit_mixture(codes, components=components, **options))
    return mixture


def known() -> GaussianMixture:
    mixture = GaussianMixture(2, 2)
    mixture.adopt(
        Components(
            weights=torch.tensor([0.3, 0.7]),
            means=torch.tensor([[-4.0, 0.0], [2.0, 1.0]]),
            scales=torch.tensor([[[0.5, 0.0], [0.2, 0.1]], [[1.0, 0.0], [-0.5, 0.3]]]),
        )
    )
    return mixture


def test_before_it_is_fitted_it_is_the_standard_normal():
    mixture, z = GaussianMixture(5, 3), noise(10, 3)
    assert torch.equal(mixture(z), z[:, 1:])
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 1:]).sum(1)
    assert torch.allclose(mixture.log_prob(z[:, 1:]), expected, atol=1e-5)


def test_normal_noise_becomes_draws_with_the_mixtures_shares_means_and_covariances():
    mixture, z = known(), noise(40_000, 2)
    draws, chosen = mixture(z), mixture.pick(z[:, 0])
    assert (chosen == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    for k in range(2):
        part, scale = draws[chosen == k], mixture.scales[k]
        assert torch.allclose(part.mean(0), mixture.means[k], atol=0.03)
        assert torch.allclose(part.T.cov(), scale @ scale.T, atol=0.03)


def test_a_draw_is_differentiable_in_all_of_its_noise_but_the_choice():
    mixture, z = known(), noise(6, 2).requires_grad_(True)
    jacobian = torch.autograd.functional.jacobian(lambda n: mixture(n).sum(0), z)
    scales = mixture.scales[mixture.pick(z.detach()[:, 0])]
    assert torch.allclose(jacobian[:, :, 1:].transpose(0, 1), scales)
    assert jacobian[:, :, 0].abs().max() == 0


def test_it_integrates_to_one():
    side = torch.linspace(-12, 12, 1201)
    grid = torch.cartesian_prod(side, side)
    mass = known().log_prob(grid).double().exp().sum() * (side[1] - side[0]).double() ** 2
    assert mass == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_its_density_is_the_one_that_scikit_learn_scores(covariance):
    codes = blobs()
    mixture = fitted(codes, 3, covariance=covariance)
    judge = Estimator(3, covariance_type=covariance)
    scales = mixture.scales.double()
    precision = 1 / scales if covariance == "diag" else torch.linalg.inv(scales).mT
    judge.weights_, judge.means_ = mixture.weights.double().numpy(), mixture.means.double().numpy()
    judge.precisions_cholesky_ = precision.numpy()
    expected = torch.from_numpy(judge.score_samples(codes.double().numpy())).float()
    assert torch.allclose(mixture.log_prob(codes), expected, rtol=1e-4, atol=1e-3)


def test_the_fit_is_as_likely_as_scikit_learns_own_and_finds_the_clusters():
    codes = blobs()
    own = Estimator(3, random_state=0).fit((codes - codes.mean(0)) / codes.std(0))
    shift = codes.std(0).log().sum()
    expected = own.score((codes - codes.mean(0)) / codes.std(0)) - float(shift)
    mixture = fitted(codes, 3)
    assert mixture.log_prob(codes).mean() == pytest.approx(expected, abs=0.02)
    assert torch.allclose(mixture.weights, torch.full((3,), 1 / 3), atol=0.01)


def test_draws_of_a_fit_have_the_moments_of_the_codes():
    codes = blobs()
    draws = fitted(codes, 3)(noise(30_000, 4))
    assert torch.allclose(draws.mean(0) / codes.mean(0), torch.ones(4), atol=0.05)
    assert torch.allclose(draws.std(0) / codes.std(0), torch.ones(4), atol=0.05)


def test_the_fit_is_a_function_of_the_codes_alone():
    codes, found = blobs(500), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(fit_mixture(codes, components=3, limit=200))
    assert torch.equal(found[0].means, found[1].means)
    assert torch.equal(found[0].scales, found[1].scales)


def test_of_more_codes_than_the_limit_a_random_part_is_taken():
    codes = torch.cat((torch.zeros(900, 2), torch.full((100, 2), 10.0)))
    codes += 0.1 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    found = fit_mixture(codes, components=2, limit=400)
    assert float(found.weights.min()) == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize(
    "codes",
    [torch.zeros(1, 3), torch.ones(40, 3), torch.randn(2, 3), torch.arange(30.0).view(10, 3)],
    ids=["one", "all alike", "two", "on a line"],
)
def test_few_or_degenerate_codes_give_a_mixture_that_draws_near_them(codes, covariance):
    mixture = fitted(codes, 8, covariance=covariance)
    draws = mixture(noise(200, 3))
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(mixture.log_prob(codes)).all()
    far = 6 * codes.std(0, correction=0).clamp_min(0.01)
    assert ((draws - codes.mean(0)).abs() < far).all()


def test_components_without_codes_are_never_picked_however_far_out_the_noise():
    mixture = fitted(torch.randn(20, 3), 8)
    assert (mixture.weights[:3] == 0).all()
    picked = mixture.pick(torch.tensor([-100.0, -5.0, 0.0, 5.0, 100.0]))
    assert (mixture.weights[picked] > 0).all()


def test_codes_that_are_not_finite_are_refused():
    with pytest.raises(GenbenchError, match="the autoencoder diverged"):
        fit_mixture(torch.tensor([[0.0], [math.nan]]), components=1)


def test_a_density_of_spatial_codes_gives_spatial_codes():
    settings = ExPostSettings(
        network="conv", code="spatial", channels=(4, 4), z_dim=3, components=2, covariance="diag"
    )
    density = ExPostDensity(settings, IMAGES)
    codes = torch.randn(50, 3, 2, 2, generator=torch.Generator().manual_seed(2)) + 7
    stage = density.stage(lambda x, _: codes[: len(x)])
    stage.fit(stage.prepare(torch.zeros(50, 1, 8, 8), torch.Generator()))
    draws = density(torch.randn(2000, density.noise))
    assert draws.shape == (2000, 3, 2, 2)
    assert torch.allclose(draws.mean(0), codes.mean(0), atol=0.15)
    assert density.log_prob(codes).shape == (50,)


def test_a_full_covariance_of_large_codes_is_refused_with_the_fix():
    settings = validate(
        ExPostSettings,
        {"network": "conv", "code": "spatial", "z_dim": 80, "channels": (4, 4)},
        owner="ae",
    )
    with pytest.raises(IncompatibleError, match=r"have 320 \(80 x 2 x 2\).*covariance=diag"):
        settings.check_density(IMAGES, "ae")
    settings.model_copy(update={"covariance": "diag"}).check_density(IMAGES, "ae")
