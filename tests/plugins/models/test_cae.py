"""The contractive autoencoder: the norm of the Jacobian, and that it falls."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from genbench import Batch, DataSpec, to_float
from genbench.testing import check_model, small_data
from genbench_nets.contraction import contraction
from genbench_vae.cae import CAESettings

IMAGES = DataSpec(name="images", shape=(1, 8, 8))
SMALL = {"z_dim": 3, "hidden": (16,), "components": 2}


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 5), nn.ELU())


def samples(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 1, 3, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1


def rows(encode, x: torch.Tensor) -> torch.Tensor:
    """The Jacobians (n, code, pixels), one sample at a time, by autograd's own function."""
    return torch.stack([jacobian(encode, one[None]).flatten(2)[0] for one in x])


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 8, 8), {"jacobian": "estimate", "relative": False}),
        ((1, 8, 8), {"network": "conv", "code": "spatial", "channels": (4,), "z_dim": 2}),
        ((2,), {"loss": "mse"}),
    ],
)
def test_every_option_of_the_cae_keeps_the_contract(shape, settings):
    check_model("cae", CAESettings(**{**SMALL, **settings}), data=small_data(shape))


def test_the_exact_norm_is_that_of_the_jacobian():
    encode, x = encoder(), samples()
    expected = rows(encode, x).square().sum((1, 2)).mean()
    assert torch.allclose(contraction(encode, x), expected, rtol=1e-5)


def test_of_one_sigmoid_layer_it_is_the_papers_closed_form():
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 7), samples()
    encode = nn.Sequential(nn.Flatten(), layer, nn.Sigmoid())
    h = encode(x)
    expected = ((h * (1 - h)).square() * layer.weight.square().sum(1)).sum(1).mean()
    assert torch.allclose(contraction(encode, x), expected, rtol=1e-5)


def test_the_estimate_has_the_exact_norm_as_its_mean():
    encode, x = encoder(), samples(3)
    torch.manual_seed(2)
    found = contraction(encode, x, directions=2000)
    assert torch.allclose(found, contraction(encode, x), rtol=0.02)


def test_its_gradient_is_that_of_the_norm_of_the_jacobian():
    encode, x = encoder(), samples(3)
    found = torch.autograd.grad(contraction(encode, x), list(encode.parameters())[:3])
    tracked = torch.stack([jacobian(encode, one[None], create_graph=True)[0] for one in x])
    expected = torch.autograd.grad(tracked.square().sum() / 3, list(encode.parameters())[:3])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_relative_norm_is_of_the_code_in_its_own_standard_deviations():
    encode, x = encoder(), samples()
    units = encode(x).std(0, correction=0)
    expected = (rows(encode, x) / units[:, None]).square().sum((1, 2)).mean()
    assert torch.allclose(contraction(encode, x, relative=True), expected, rtol=1e-4)


def test_a_code_made_smaller_is_contracted_but_not_relatively():
    encode, x = encoder(), samples()

    def smaller(x: torch.Tensor) -> torch.Tensor:
        return 0.1 * encode(x)

    assert torch.allclose(contraction(smaller, x), 0.01 * contraction(encode, x), rtol=1e-4)
    same = contraction(encode, x, relative=True)
    assert torch.allclose(contraction(smaller, x, relative=True), same, rtol=1e-4)


def test_it_is_computed_where_gradients_are_off_as_in_validation(make):
    model, x = make("cae", IMAGES, **SMALL), torch.rand(5, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        found = model.validate(Batch(x=x))
    assert found["loss"] == found["reconstruction"] + found["contraction"]
    assert found["contraction"] > 0


def test_small_codes_get_the_exact_norm_and_large_ones_the_estimate():
    directions = [CAESettings(z_dim=n).directions(IMAGES) for n in (2, 20)]
    assert directions == [None, 1]
    assert CAESettings(z_dim=20, jacobian="exact").directions(IMAGES) is None


def test_its_phase_is_never_compiled(make):
    (phase,) = make("cae", IMAGES, **SMALL).stages()[0].phases
    assert not phase.compile


def test_the_cae_learns_digits_and_its_code_moves_less_than_the_aes(learns, digits_data):
    x = to_float(torch.tensor(digits_data.test.x))
    sizes = {"z_dim": 8, "hidden": (128,), "components": 10}
    norms = []
    for name, penalty in (("ae", {}), ("cae", {"contraction": 10})):
        untrained, trained, model = learns(name, epochs=15, **sizes, **penalty)
        assert trained < 0.5 * untrained
        norms.append(float(contraction(model.nets["encoder"], x, relative=True).detach()))
    assert norms[1] < 0.7 * norms[0]


def test_batch_normalisation_is_refused_for_a_code_is_then_not_of_one_image():
    with pytest.raises(ValueError, match="set batch_norm=false"):
        CAESettings(network="conv", batch_norm=True)
