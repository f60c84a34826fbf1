"""Presets hold to what their sources and the sources' code say; docs/presets.md has a row each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch import nn

from genbench import DataSpec

IMAGES = DataSpec(name="mnist", shape=(1, 28, 28), classes=10, train=60_000, test=10_000)
PAGE = Path(__file__).parents[3] / "docs" / "presets.md"

FACTS = [
    # model, preset, epochs, minibatch, rates of its optimizers, Adam's betas
    ("vae", "lin2023", 50, 100, {1e-3}, (0.9, 0.999)),
    ("vae", "guo2023", 200, 128, {1e-3}, (0.9, 0.999)),
    ("vae", "ying", 30, 128, {1e-3}, (0.9, 0.999)),
    ("vae", "ijzer", 100, 64, {2e-4}, (0.9, 0.999)),
    ("gan", "lin2023", 200, 100, {2e-4}, (0.9, 0.999)),
    ("gan", "guo2023", 200, 100, {2e-4}, (0.9, 0.999)),
    ("gan", "ijzer", 200, 64, {2e-4}, (0.9, 0.999)),
    ("dcgan", "guo2023", 300, 128, {3e-4}, (0.9, 0.999)),
    ("dcgan", "paper", None, 128, {2e-4}, (0.5, 0.999)),
    ("cvae-gan", "guo2023", 200, 128, {1e-4}, (0.9, 0.999)),
    ("vaegan", "lin2023", 500, 100, {1e-3, 2e-4}, (0.9, 0.999)),
    ("ebgan", "hse2022", None, None, {1e-3}, (0.9, 0.999)),
    ("began", "hse2022", None, 16, {1e-4}, (0.9, 0.999)),
    ("wgan-gp", "paper", None, 50, {1e-4}, (0.5, 0.9)),
]


def chosen(plugins, model, name):
    return next(p for p in plugins.presets(model) if p.name == name and p.datasets[0] == "mnist")


@pytest.fixture
def built(plugins, make):
    return lambda model, name: make(model, IMAGES, **chosen(plugins, model, name).settings)


@pytest.mark.parametrize(("model", "name", "epochs", "batch", "rates", "betas"), FACTS)
def test_length_and_optimizers_are_those_of_the_source(
    plugins, built, model, name, epochs, batch, rates, betas
):
    preset = chosen(plugins, model, name)
    assert (preset.epochs, preset.batch_size) == (epochs, batch)
    optimizers = built(model, name).optimizers().values()
    assert {optimizer.lr for optimizer in optimizers} == rates
    assert {(optimizer.kind, optimizer.betas) for optimizer in optimizers} == {("adam", betas)}


def layers(net: nn.Module, kind: type) -> list:
    return [layer for layer in net.modules() if isinstance(layer, kind)]


def kernels(net: nn.Module) -> list[tuple[int, int, int]]:
    """(outputs, kernel, stride) of each convolution."""
    convolutions = layers(net, nn.Conv2d) + layers(net, nn.ConvTranspose2d)
    return [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]


def test_guo2023s_dcgan_has_the_kernels_of_its_code(built):
    model = built("dcgan", "guo2023")
    assert kernels(model.nets["generator"]) == [(64, 3, 1), (32, 3, 1), (1, 3, 2)]
    assert kernels(model.nets["discriminator"]) == [(32, 3, 1), (64, 3, 1)]


@pytest.mark.parametrize("model", ["vae", "vae-bernoulli"])
def test_yings_convolutions_are_those_of_its_code(built, model):
    nets = built(model, "ying").nets
    assert kernels(nets["encoder"]) == [(32, 4, 2), (64, 4, 2)]
    assert kernels(nets["decoder"]) == [(32, 4, 2), (1, 4, 2)]
    assert [layer.out_features for layer in layers(nets["decoder"], nn.Linear)] == [256, 3136]


@pytest.mark.parametrize("name", ["lin2023", "guo2023"])
def test_the_gans_have_the_slope_the_dropout_and_the_output_of_their_code(built, name):
    nets = built("gan", name).nets
    judged, made = nets["discriminator"], nets["generator"]
    assert {layer.negative_slope for layer in layers(judged, nn.LeakyReLU)} == {0.2}
    dropout = {layer.p for layer in layers(judged, nn.Dropout)}
    assert dropout == ({0.3} if name == "lin2023" else set())
    assert bool(layers(made, nn.ReLU)) == (name == "guo2023")
    assert len(layers(made, nn.Tanh)) == 1
    assert not layers(nets, nn.BatchNorm1d)


def test_guo2023s_cvae_gan_has_the_channels_of_its_code(built):
    nets = built("cvae-gan", "guo2023").nets
    assert [outputs for outputs, _, _ in kernels(nets["encoder"])] == [16, 32]
    for name in ("discriminator", "classifier"):
        assert [outputs for outputs, _, _ in kernels(nets[name])] == [32, 64]
        assert layers(nets[name], nn.Linear)[0].out_features == 1024


def test_wgan_gps_networks_are_as_its_code_has_them_without_normalisation_and_with_relu(built):
    nets = built("wgan-gp", "paper").nets
    assert not layers(nets, nn.BatchNorm2d)
    assert layers(nets["generator"], nn.ReLU)
    assert {layer.negative_slope for layer in layers(nets["discriminator"], nn.LeakyReLU)} == {0.2}


def test_the_page_of_presets_has_a_row_for_every_preset(plugins):
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)`", PAGE.read_text(), re.MULTILINE)
    registered = {
        (model.name, preset.name)
        for model in plugins.of("model")
        for preset in plugins.presets(model.name)
    }
    assert {(model, preset) for preset, model in rows} == registered
