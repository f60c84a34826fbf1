"""DCGAN's options, and IJzer's Imagenette networks against the table."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from PIL import Image
from torch import nn

from genbench import Batch, DataSpec, IncompatibleError, SettingError
from genbench.testing import check_model, small_data
from genbench_gan.dcgan import DCGANSettings

IMAGENETTE = DataSpec(name="imagenette", shape=(3, 160, 160), classes=10, train=9469, test=3925)
SMALL = {"g_channels": 4, "d_channels": 4}


def image(side: int, channels: int = 1) -> DataSpec:
    return DataSpec(name="images", shape=(channels, side, side), train=100)


@pytest.mark.parametrize(
    "options",
    [
        {"upsample": "resize", "label_smoothing": 0.1, "feature_matching": 1.0, "n_critic": 2},
        {"instance_noise": 0.1, "augment": ("translation",)},
    ],
)
def test_its_options_keep_the_contract(options):
    check_model("dcgan", DCGANSettings(**SMALL, **options), data=small_data((1, 28, 28)))


@pytest.mark.parametrize("side", [28, 32, 64])
def test_resizing_makes_the_same_images_without_a_transposed_convolution_but_the_first(make, side):
    model = make("dcgan", image(side, 3), upsample="resize", **SMALL)
    assert model.generate(model.prior(2)).shape == (2, 3, side, side)
    transposed = [m for m in model.nets["generator"] if isinstance(m, nn.ConvTranspose2d)]
    assert len(transposed) == 1


def test_the_players_have_rates_of_their_own(make):
    optimizers = make("dcgan", image(28), g_lr=1e-4, d_lr=4e-4, **SMALL).optimizers()
    assert (optimizers["g"].lr, optimizers["d"].lr) == (1e-4, 4e-4)


def test_feature_matching_is_a_term_of_the_generator_alone(make):
    model = make("dcgan", image(28), feature_matching=1.0, **SMALL)
    batch = Batch(x=torch.rand(4, 1, 28, 28) * 2 - 1)
    d, g = (phase.loss(batch) for phase in model.stages()[0].phases)
    assert set(g["g"]) == {"adversarial", "feature_matching"}
    assert set(d["d"]) == {"real", "fake"}
    assert set(d["monitor"]) == {"d_real", "d_fake", "d_accuracy"}


def test_what_does_not_go_together_is_refused_in_one_sentence(make):
    with pytest.raises(SettingError, match="set upsample=transposed"):
        make("dcgan", image(28), network="guo2023", upsample="resize")
    with pytest.raises(IncompatibleError, match="square images of 160 px"):
        make("dcgan", image(64, 3), network="ijzer")
    with pytest.raises(IncompatibleError, match="Try --set network=ijzer"):
        make("dcgan", IMAGENETTE)
    with pytest.raises(IncompatibleError, match="square images of 28 px"):
        make("dcgan", image(32), network="guo2023")


# --- IJzer's Imagenette networks


def preset(plugins):
    return next(p for p in plugins.presets("dcgan") if p.name == "ijzer")


def shapes_through(player, x):
    """The shape after each layer, without the batch."""
    shapes = []
    with torch.no_grad():
        for layer in player:
            x = layer(x)
            shapes.append((type(layer).__name__, tuple(x.shape[1:])))
    return shapes


def test_ijzers_imagenette_discriminator_has_the_shapes_of_its_table(make, plugins):
    model = make("dcgan", IMAGENETTE, **preset(plugins).settings)
    shapes = shapes_through(model.nets["discriminator"], torch.zeros(1, 3, 160, 160))
    pooled = [shape for name, shape in shapes if name == "MaxPool2d"]
    assert pooled == [(16, 79, 79), (32, 38, 38), (64, 18, 18), (128, 4, 4)]
    assert shapes[-2:] == [("Flatten", (2048,)), ("Linear", (1,))]


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_ijzers_imagenette_generator_has_the_shapes_of_its_table(make, plugins, upsample):
    model = make("dcgan", IMAGENETTE, **preset(plugins).settings, upsample=upsample)
    z = model.prior(2)
    assert z.shape == (2, 500)
    shapes = shapes_through(model.nets["generator"], z)
    assert shapes[0] == ("Linear", (256 * 8 * 8,))
    assert shapes[2] == ("Unflatten", (256, 8, 8))
    normed = [shape[0] for name, shape in shapes if name == "BatchNorm2d"]
    assert normed == [128, 64, 32, 16, 8]
    assert shapes[-2:] == [("Upsample", (3, 160, 160)), ("Tanh", (3, 160, 160))]
    if upsample == "transposed":
        assert [s[1] for n, s in shapes if n == "ConvTranspose2d"] == [18, 38, 78, 158, 318, 320]


def test_ijzers_imagenette_networks_take_a_training_step(make, plugins):
    from genbench.engine.optim import build_optimizers
    from genbench.engine.update import Update

    model = make("dcgan", IMAGENETTE, **preset(plugins).settings)
    players = build_optimizers(model, clip_norm=None)
    before = {name: p.detach().clone() for name, p in model.nets.named_parameters()}
    batch = Batch(x=torch.rand(2, 3, 160, 160) * 2 - 1)
    for stage in model.stages():
        for phase in stage.phases:
            values = Update(phase, players, model, device=torch.device("cpu"))(batch)
            assert all(torch.isfinite(value) for value in values)
    moved = [name for name, p in model.nets.named_parameters() if not torch.equal(p, before[name])]
    assert moved == list(before)


def test_ijzers_preset_plans_a_run_on_a_folder_though_its_other_data_set_may_not_be_there(
    plugins, tmp_path
):
    folder = tmp_path / "photos" / "dogs"
    folder.mkdir(parents=True)
    for number in range(60):
        Image.new("RGB", (180, 170), (number, 0, 0)).save(folder / f"{number}.png")
    command = [
        sys.executable,
        "-m",
        "genbench",
        "run",
        "dcgan",
        "image-folder",
        "--preset",
        "ijzer",
    ]
    command += ["--set", f"data.path={folder.parent}", "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert preset(plugins).datasets == ("imagenette", "image-folder")
    assert '"batch_size": 48' in done.stdout
    assert '"z_dim": 500' in done.stdout
