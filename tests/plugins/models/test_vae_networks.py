"""The networks of the VAE: those of the documents, and the codes they leave."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from genbench import Batch, DataSpec, IncompatibleError, SettingError
from genbench.engine.optim import build_optimizers
from genbench.engine.update import Update
from genbench_nets.conv import doubling, halving

MNIST = DataSpec(name="mnist", shape=(1, 28, 28), classes=10, train=60_000, test=10_000)
IMAGENETTE = DataSpec(name="imagenette", shape=(3, 160, 160), classes=10, train=9_469)
FACES = DataSpec(name="celeba", shape=(3, 64, 64), train=1000)


@pytest.fixture(scope="session")
def from_preset(make, plugins):
    def build(name: str, data: DataSpec) -> Any:
        variants = [p for p in plugins.presets("vae") if p.name == name]
        (preset,) = [p for p in variants if data.name in p.datasets]
        return make("vae", data, **preset.settings)

    return build


def shapes_through(network, x):
    """The kind of each layer and the shape after it, without the batch."""
    shapes = []
    network.eval()
    with torch.no_grad():
        for layer in network:
            x = layer(x)
            shapes.append((type(layer).__name__, tuple(x.shape[1:])))
    return shapes


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def step(model, x):
    """One step by the engine; the names of the weights that moved."""
    players = build_optimizers(model, clip_norm=None)
    before = {name: p.detach().clone() for name, p in model.nets.named_parameters()}
    model.nets.train()
    (stage,) = model.stages()
    (phase,) = stage.phases
    values = Update(phase, players, model, device=torch.device("cpu"))(Batch(x=x))
    assert all(torch.isfinite(value) for value in values)
    return [n for n, p in model.nets.named_parameters() if not torch.equal(p, before[n])]


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("side", [14, 28, 64])
def test_both_kernels_halve_and_double_exactly(kernel, side):
    x = torch.zeros(2, 3, side, side)
    halved = nn.Sequential(*halving(3, 5, kernel))(x)
    assert halved.shape == (2, 5, side // 2, side // 2)
    assert doubling(5, 3, kernel)(halved).shape == x.shape


# --- the documents' networks


def test_yings_encoder_goes_from_28_to_14_to_7_to_its_hidden_layer(from_preset):
    model = from_preset("ying", MNIST)
    shapes = shapes_through(model.nets["encoder"], torch.zeros(2, 1, 28, 28))
    kinds = ["Conv2d", "ReLU", "Conv2d", "ReLU", "Flatten", "Linear", "ReLU", "Linear"]
    assert [kind for kind, _ in shapes] == kinds
    assert [s[1:] for kind, s in shapes if kind == "Conv2d"] == [(14, 14), (7, 7)]
    assert [s for kind, s in shapes if kind == "Linear"] == [(256,), (4,)]


def test_yings_decoder_mirrors_its_encoder(from_preset):
    shapes = shapes_through(from_preset("ying", MNIST).nets["decoder"], torch.zeros(2, 2))
    assert [s for kind, s in shapes if kind == "Linear"] == [(256,), (64 * 7 * 7,)]
    up = [s for kind, s in shapes if kind == "ConvTranspose2d"]
    assert up == [(32, 14, 14), (1, 28, 28)]
    assert shapes[-1][0] == "ConvTranspose2d"


def test_ijzers_imagenette_encoder_has_the_shapes_of_its_table(from_preset):
    encoder = from_preset("ijzer", IMAGENETTE).nets["encoder"]
    shapes = shapes_through(encoder, torch.zeros(1, 3, 160, 160))
    pooled = [shape for kind, shape in shapes if kind == "MaxPool2d"]
    assert pooled == [(16, 79, 79), (32, 38, 38), (64, 18, 18), (128, 8, 8)]
    assert shapes[-2:] == [("Flatten", (8192,)), ("Linear", (400,))]


def test_ijzers_imagenette_decoder_has_the_shapes_of_its_table_and_ends_in_logits(from_preset):
    model = from_preset("ijzer", IMAGENETTE)
    z = model.prior(2)
    assert z.shape == (2, 200)
    shapes = shapes_through(model.nets["decoder"], z)
    assert shapes[0] == ("Linear", (256 * 8 * 8,))
    normed = [shape[0] for kind, shape in shapes if kind == "BatchNorm2d"]
    assert normed == [128, 64, 32, 16, 8]
    assert shapes[-2:] == [("ConvTranspose2d", (3, 320, 320)), ("Upsample", (3, 160, 160))]


def test_ijzers_imagenette_vae_has_the_parameters_of_its_table(from_preset):
    model = from_preset("ijzer", IMAGENETTE)
    convolutions = 448 + 4_640 + 18_496 + 73_856
    assert count(model.nets["encoder"]) == convolutions + 8192 * 400 + 400
    transposed = 524_416 + 131_136 + 32_800 + 8_208 + 2_056 + 219
    norms = 2 * (128 + 64 + 32 + 16 + 8)
    assert count(model.nets["decoder"]) == 200 * 16_384 + 16_384 + transposed + norms


def test_ijzers_imagenette_vae_takes_a_step_that_moves_every_weight(from_preset):
    model = from_preset("ijzer", IMAGENETTE)
    x = torch.rand(2, 3, 160, 160) * 2 - 1
    assert step(model, x) == [name for name, _ in model.nets.named_parameters()]
    model.nets.eval()
    with torch.no_grad():
        assert model.decode(model.encode(x)[0]).shape == x.shape


def test_lin2023s_vae_for_faces_takes_a_step_that_moves_every_weight(from_preset):
    model = from_preset("lin2023", FACES)
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    assert step(model, x) == [name for name, _ in model.nets.named_parameters()]


# --- what is refused


def test_ijzers_network_refuses_other_sizes_and_says_what_to_take(make):
    with pytest.raises(IncompatibleError, match=r"of 160 px; .*network=conv"):
        make("vae", MNIST, network="ijzer")


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"network": "mlp", "batch_norm": True}, "set network=conv"),
        ({"network": "ijzer", "code": "spatial"}, "set network=conv"),
        ({"network": "conv", "kernel": 5}, "3 or 4"),
        ({"network": "conv", "channels": []}, "at least 1 value"),
    ],
)
def test_settings_of_another_network_are_refused_with_the_fix(make, settings, hint):
    with pytest.raises(SettingError, match=hint):
        make("vae", MNIST, **settings)


# --- what they learn


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": (16, 32), "kernel": 3, "conv_hidden": 64, "z_dim": 10, "batch_norm": True},
        {"channels": (16, 32), "code": "spatial", "z_dim": 2},
    ],
    ids=["vector", "spatial"],
)
def test_the_convolutional_vae_learns_digits(learns, digits_data, settings):
    untrained, trained, model = learns("vae", epochs=5, network="conv", **settings)
    assert trained < 0.5 * untrained
    x = torch.tensor(digits_data.test.x).float() / 127.5 - 1
    with torch.no_grad():
        mean, logvar = model.encode(x)
        assert mean.shape == logvar.shape == (len(x), *model.prior(1).shape[1:])
        error = (model.decode(mean) - x).square().mean()
    average = torch.tensor(digits_data.train.x).float().mean(0) / 127.5 - 1
    of_the_mean_image = (average - x).square().mean()
    print(f"squared error {error:.3f}, of the mean image {of_the_mean_image:.3f}")
    assert error < 0.7 * of_the_mean_image
