"""The built-in models: published shapes and counts, presets, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from genbench import Conditional, DataSpec, Generates, IncompatibleError, rendered
from genbench.registry import Registry
from genbench.settings import validate

DIGITS = DataSpec(name="digits", shape=(1, 28, 28), classes=10, train=1437, test=360)
MNIST = DataSpec(name="mnist", shape=(1, 28, 28), classes=10, train=60_000, test=10_000)
IMAGENETTE = DataSpec(name="imagenette", shape=(3, 160, 160), classes=10, train=1000)
FACES = DataSpec(name="image-folder", shape=(3, 64, 64), train=1000)
POINTS = DataSpec(name="gaussians-25", shape=(2,), classes=25, train=50_000, test=10_000)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment()


def build(registry, name, data=MNIST, **settings):
    cls = registry.settings("model", name)
    return registry.target("model", name)(validate(cls, settings, owner=name), data)


def preset(registry, model, name, dataset="mnist"):
    return next(p for p in registry.presets(model) if p.name == name and dataset in p.datasets)


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("model", "parameters"), [("vae", 2_936_120), ("gan", 2_946_577)])
def test_the_ijzer_presets_have_the_published_number_of_parameters(registry, model, parameters):
    settings = preset(registry, model, "ijzer").settings
    assert count(build(registry, model, **settings).nets) == parameters


CELEBA = DataSpec(
    name="celeba",
    shape=(3, 64, 64),
    classes=32,
    attributes=("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"),
)


def test_every_preset_builds_on_a_data_set_of_its_source_and_gives_images_in_range(registry):
    specs = {
        "image-folder": FACES,
        "celeba": CELEBA,
        "imagenette": IMAGENETTE,
        "gaussians-25": POINTS,
    }
    y = torch.ones(1, dtype=torch.int64)
    for registration in registry.of("model"):
        for p in registry.presets(registration.name):
            data = specs.get(p.datasets[0], MNIST)
            model = build(registry, registration.name, data, **p.settings)
            model.nets.eval()
            with torch.no_grad():
                if isinstance(model, Generates):
                    label = y if isinstance(model, Conditional) else None
                    images = rendered(model, model.generate(model.prior(1), label))
                else:
                    images = model.translate(torch.rand(1, *data.shape), y)
            assert images.shape == (1, *data.shape), (registration.name, p.name)
            assert not data.is_image or images.abs().max() <= 1


@pytest.mark.parametrize("side", [28, 32, 40, 48, 56, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_draws_and_judges_every_size_it_promises(registry, side, channels):
    data = DataSpec(name="x", shape=(channels, side, side))
    model = build(registry, "dcgan", data, g_channels=4, d_channels=4)
    images = model.generate(model.prior(2))
    assert images.shape == (2, channels, side, side)
    assert model.discriminate(images).shape == (2,)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 30, 30), (1, 28, 32), (2,), (3, 128, 128)])
def test_dcgan_refuses_other_shapes_in_one_sentence(registry, shape):
    with pytest.raises(IncompatibleError, match="takes square images"):
        build(registry, "dcgan", DataSpec(name="odd", shape=shape))


def test_the_convolutional_vae_refuses_a_side_that_does_not_halve(registry):
    with pytest.raises(IncompatibleError, match="multiple of 4"):
        build(registry, "vae", DataSpec(name="odd", shape=(1, 30, 30)), network="conv")


def test_dcgan_at_64_px_has_the_networks_of_pytorchs_example(registry):
    model = build(registry, "dcgan", FACES, g_channels=64, d_channels=64)
    widths = [m.out_channels for m in model.nets["generator"] if hasattr(m, "out_channels")]
    assert widths == [512, 256, 128, 64, 3]
    assert count(model.nets["generator"]) == 3_576_704
    assert count(model.nets["discriminator"]) == 2_765_568


def test_guo2023s_discriminator_moves_three_times_for_one_move_of_its_generator(registry):
    model = build(registry, "dcgan", **preset(registry, "dcgan", "guo2023").settings)
    (stage,) = model.stages()
    assert [(p.name, p.repeat) for p in stage.phases] == [("d", 3), ("g", 1)]


def test_vaegans_latents_are_standardised_under_the_aggregated_posterior(registry):
    model = build(registry, "vaegan", DIGITS, latent_dim=3)
    mean = torch.randn(4000, 3) * torch.tensor([0.5, 2.0, 0.01]) + 4
    spread = torch.rand(4000, 3)
    model.fit_scaler(torch.stack((mean, spread), dim=1))
    latents = model.nets["scaler"](mean + spread * torch.randn(4000, 3))
    assert torch.allclose(latents.mean(0), torch.zeros(3), atol=0.08)
    assert torch.allclose(latents.std(0), torch.ones(3), atol=0.05)
    assert torch.allclose(model.nets["scaler"].undo(model.nets["scaler"](mean)), mean, atol=1e-5)


def test_vaegan_encodes_means_without_spread_when_asked(registry):
    model = build(registry, "vaegan", DIGITS, latents="mean")
    with torch.no_grad():
        code = model.encode_data(torch.rand(2, 1, 28, 28), torch.Generator())
    assert code.shape == (2, 2, 10)
    assert code[:, 1].abs().max() == 0


def test_a_small_data_set_gets_more_epochs_of_stage_one_than_a_large_one(registry):
    settings = registry.settings("model", "vaegan")()
    assert settings.stage_one_epochs(DIGITS) > settings.stage_one_epochs(MNIST) == 15
