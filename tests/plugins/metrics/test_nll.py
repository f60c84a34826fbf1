"""The laws of the likelihoods: exact where they can be known, bounds elsewhere, or refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genbench import Data, DataSpec, Score, Split, UsageError
from genbench.evaluation import check_fit
from genbench.features.extractor import real_samples
from genbench.spec import Part
from genbench.testing import check_metric
from genbench_metrics.elbo import Elbo
from genbench_metrics.likelihood_settings import ElboSettings, NllSettings
from genbench_metrics.nll import Nll

POINTS, LATENTS, STD = 5, 2, 0.4


class LinearGaussian:
    """Probabilistic PCA (Tipping & Bishop 1999): x = W z + b + noise, so x ~ N(b, W W' + s^2 I).

    ``off`` moves and widens the encoder's posterior; at 0 it is the exact one but for the
    correlations, which these orthogonal columns don't have.
    """

    likelihood = "gaussian"

    def __init__(self, off: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(POINTS, LATENTS, generator=generator)).Q
        self.weight = columns * torch.tensor([1.5, 0.7])
        self.shift = torch.randn(POINTS, generator=generator)
        self.off = off
        self.nets = nn.ModuleDict()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, LATENTS, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z @ self.weight.T + self.shift

    def render(self, h: Tensor) -> Tensor:
        return h

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        precision = self.weight.square().sum(0) / STD**2 + 1
        mean = (x - self.shift) @ self.weight / STD**2 / precision
        return mean + 0.3 * self.off, (-precision.log() + self.off).expand_as(mean)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.distributions.Normal(self.generate(z), STD).log_prob(x).sum(1)

    def exact(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + STD**2 * torch.eye(POINTS)
        return torch.distributions.MultivariateNormal(self.shift, covariance).log_prob(x)


class Bits:
    """Four black and white pixels, one latent: its marginal is an integral over a line."""

    likelihood = "bernoulli"
    classes = 2

    def __init__(self) -> None:
        self.nets = nn.ModuleDict()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 1, generator=generator)

    def logits(self, z: Tensor, y: Tensor) -> Tensor:
        slopes = z.new_tensor([2.0, -1.0, 0.5, 3.0])
        return z * slopes + (2 * y[:, None] - 1)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return (2 * self.logits(z, y).sigmoid() - 1).view(-1, 1, 2, 2)

    def render(self, h: Tensor) -> Tensor:
        return h

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert y is not None
        mean = 0.4 * x.flatten(1)[:, :1]
        return mean, torch.full_like(mean, -0.5)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        signs = x.flatten(1).to(z.dtype)
        return nn.functional.logsigmoid(signs * self.logits(z, y)).sum(1)

    def exact(self, x: Tensor, y: Tensor) -> Tensor:
        z = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0])
        rows = [
            self.log_likelihood(a.expand(len(z), *a.shape), z, b.expand(len(z)).long()) + prior
            for a, b in zip(x, y, strict=True)
        ]
        return torch.stack(rows).logsumexp(1) + math.log(18 / 4000)


def points(model: LinearGaussian, n: int = 60) -> Data:
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(n, LATENTS, generator=generator)
    x = model.generate(z) + STD * torch.randn(n, POINTS, generator=generator)
    split = Split(x=x.numpy(), y=None, digest="ppca")
    return Data(spec=DataSpec(name="ppca", shape=(POINTS,)), train=split, test=split)


def bits(n: int = 40, **changes: Any) -> Data:
    order = np.random.default_rng(0)
    x = order.integers(0, 2, (n, 1, 2, 2)).astype(np.uint8) * np.uint8(255)
    split = Split(x=x, y=order.integers(0, 2, n), digest="bits")
    spec = DataSpec(name="bits", shape=(1, 2, 2), classes=2)
    return Data(spec=spec, train=split, test=split, **changes)


def nll(context: Any, model: Any, data: Data, k: int = 1, **changes: Any) -> Score:
    metric = Nll(NllSettings(k=k))
    metric.begin(context(model=model, data=data, **changes))
    with torch.no_grad():
        (score,) = metric.result()
    return score


def elbo(context: Any, model: Any, data: Data, samples: int = 1) -> dict[str, Score]:
    metric = Elbo(ElboSettings(samples=samples))
    metric.begin(context(model=model, data=data))
    with torch.no_grad():
        return {score.metric: score for score in metric.result()}


def error_of(score: Score) -> float:
    """The Monte-Carlo standard error that the note gives."""
    return float(score.note.split("standard error ")[1].split()[0])


def test_nll_of_a_linear_gaussian_model_is_exact_within_its_monte_carlo_error(context):
    model = LinearGaussian(off=0.5)
    data = points(model)
    exact = -float(model.exact(torch.from_numpy(data.test.x)).mean())
    score = nll(context, model, data, k=20_000)
    assert 0 < error_of(score) < 0.005
    assert score.value == pytest.approx(exact, abs=4 * error_of(score))
    assert (score.metric, score.direction, score.unit, score.n) == ("nll", "min", "nats", 60)


def test_nll_of_a_bernoulli_model_equals_a_fine_quadrature(context):
    model, data = Bits(), bits()
    x = torch.from_numpy(data.test.x).float() / 127.5 - 1
    exact = -float(model.exact(x, torch.from_numpy(data.test.y)).mean())
    score = nll(context, model, data, k=20_000)
    assert score.value == pytest.approx(exact, abs=4 * error_of(score))


def test_the_stated_error_is_the_spread_over_seeds(context):
    model = LinearGaussian(off=0.5)
    data = points(model)
    scores = [nll(context, model, data, k=500, seed=seed) for seed in range(30)]
    spread = float(np.std([score.value for score in scores], ddof=1))
    assert spread == pytest.approx(error_of(scores[0]), rel=0.5)


def test_one_sample_of_the_exact_posterior_gives_the_exact_likelihood(context):
    model = LinearGaussian()
    data = points(model)
    exact = -float(model.exact(torch.from_numpy(data.test.x)).mean())
    score = nll(context, model, data, k=1)
    assert score.value == pytest.approx(exact, abs=1e-4)


def test_the_bound_grows_with_k_from_the_elbo_and_stays_below_the_likelihood(context):
    model = LinearGaussian(off=1.0)
    data = points(model, 2000)
    exact = float(model.exact(torch.from_numpy(data.test.x)).mean())
    bounds = [-nll(context, model, data, k=k).value for k in (1, 4, 16, 256)]
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.5
    assert bounds[-1] < exact + 0.05
    bound = elbo(context, model, data, samples=20)["elbo"].value
    assert bounds[0] == pytest.approx(bound, abs=0.2)


def test_elbo_is_reconstruction_less_divergence_and_short_of_the_likelihood_by_q_against_p(context):
    model = LinearGaussian(off=0.8)
    data = points(model)
    x = torch.from_numpy(data.test.x)
    found = {name: score.value for name, score in elbo(context, model, data, 200).items()}
    assert found["elbo"] == pytest.approx(found["elbo_reconstruction"] - found["elbo_kl"])
    q, p = (
        torch.distributions.Normal(mean, (0.5 * logvar).exp())
        for mean, logvar in (model.encode(x), LinearGaussian().encode(x))
    )
    gap = torch.distributions.kl_divergence(q, p).sum(1).mean()
    exact = float(model.exact(x).mean())
    assert exact - found["elbo"] == pytest.approx(float(gap), abs=0.02)
    prior = torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(q, prior).sum(1).mean()
    assert found["elbo_kl"] == pytest.approx(float(divergence), rel=1e-5)


class OnAGrid(LinearGaussian):
    """The same model with a grid (1, 1, 2) as its code."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, logvar = super().encode(x)
        return mean.view(-1, 1, 1, LATENTS), logvar.reshape(-1, 1, 1, LATENTS)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert z.shape[1:] == (1, 1, LATENTS)
        return super().log_likelihood(x, z.flatten(1))


def test_a_grid_of_codes_scores_as_the_vector_of_its_values(context):
    vector, grid = LinearGaussian(off=0.5), OnAGrid(off=0.5)
    data = points(vector)
    assert nll(context, grid, data, k=7).value == nll(context, vector, data, k=7).value
    of_grid, of_vector = (elbo(context, model, data, samples=3) for model in (grid, vector))
    assert {name: score.value for name, score in of_grid.items()} == {
        name: score.value for name, score in of_vector.items()
    }


def test_memory_for_latents_is_bounded_whatever_k(context, monkeypatch):
    seen = []
    model = LinearGaussian(off=0.5)
    whole = model.log_likelihood

    def watched(x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        seen.append(len(z))
        return whole(x, z)

    monkeypatch.setattr(model, "log_likelihood", watched)
    nll(context, model, points(model, 3), k=120_000)
    assert max(seen) == 50_000
    assert sum(seen) == 3 * 120_000


def test_the_same_seed_gives_the_same_number_and_another_one_another(context):
    model = LinearGaussian(off=0.5)
    values = [nll(context, model, points(model), k=50, seed=seed).value for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_grey_levels_are_refused_by_a_bernoulli_likelihood(context):
    grey = bits()
    grey.test.x[3, 0, 1, 1] = 17
    for metric in (Nll(), Elbo()):
        with pytest.raises(UsageError, match=r"not a likelihood.*data\.binarize=fixed"):
            metric.begin(context(model=Bits(), data=grey))


def test_another_prior_is_refused(context):
    model = LinearGaussian()
    model.prior_kind = "uniform"
    with pytest.raises(UsageError, match="this model's prior is uniform"):
        Nll().begin(context(model=model, data=points(model)))


def test_an_encoder_of_points_is_refused(context):
    model = LinearGaussian(off=-math.inf)
    model.encode = lambda x, y=None: (x[:, :LATENTS], torch.full((len(x), LATENTS), -math.inf))
    for metric in (Nll(), Elbo()):
        metric.begin(context(model=model, data=points(model)))
        with pytest.raises(UsageError, match="encoder is deterministic"):
            metric.result()


def test_a_model_without_a_likelihood_is_refused_before_anything_is_drawn():
    with pytest.raises(UsageError, match="needs a model that"):
        check_fit(nn.Linear(1, 1), [], [(Part(name="nll"), Nll())])


def test_nll_is_not_taken_in_a_look_between_epochs(context):
    model = LinearGaussian()
    with pytest.raises(UsageError, match="too expensive"):
        Nll().begin(context(model=model, data=points(model), quick=True))


def test_k_binarisation_and_likelihood_are_part_of_the_protocol(context):
    protocols = [
        nll(context, Bits(), bits(), k=2).protocol,
        nll(context, Bits(), bits(), k=3).protocol,
        nll(context, Bits(), bits(augment=lambda x: x), k=2).protocol,
    ]
    assert [p["k"] for p in protocols] == [2, 3, 2]
    assert [p["binarization"] for p in protocols] == ["fixed", "fixed", "dynamic"]
    assert protocols[0]["likelihood"] == "bernoulli"
    assert protocols[0]["given"] == "label"
    assert nll(context, LinearGaussian(), points(LinearGaussian())).protocol["given"] is None


def test_nll_and_elbo_keep_the_contract_of_metrics():
    for metric, settings in ((Nll, NllSettings(k=8)), (Elbo, ElboSettings())):
        check_metric(metric, settings, model=Bits(), data=bits())


def test_training_samples_as_a_floor_are_redrawn_as_in_training_and_always_the_same(context):
    data = bits(augment=lambda x: torch.rand_like(x) * 2 - 1)
    torch.manual_seed(0)
    seen = [
        torch.cat(list(real_samples(data, split, device=torch.device("cpu"), batch_size=16)))
        for split in (data.train, data.train, replace(data.test))
    ]
    assert torch.equal(seen[0], seen[1])
    assert seen[0].dtype == torch.uint8
    assert ((seen[0] > 0) & (seen[0] < 255)).float().mean() > 0.9
    assert torch.equal(seen[2], torch.from_numpy(data.test.x))
    assert torch.initial_seed() == 0
