"""The conditional GAN: it answers to labels, and needs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from genbench import Batch, Conditional, DataSpec, IncompatibleError
from genbench.testing import check_model, small_data
from genbench_gan.cgan import CGANSettings

IMAGES = DataSpec(name="images", shape=(1, 28, 28), classes=10, train=1000, test=100)
SIZES = {"z_dim": 16, "g_hidden": (128,), "d_hidden": (128,)}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2,), {"g_hidden": (16,), "d_hidden": (16,)}),
        ((1, 28, 28), {"network": "conv", "g_channels": 2, "d_channels": 2}),
    ],
)
def test_cgan_keeps_the_contract_on_points_and_with_convolutions(shape, settings):
    data = small_data(shape)
    check_model("cgan", CGANSettings(**settings), data=data)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_generator_and_discriminator_answer_to_the_label(make, network):
    model = make("cgan", IMAGES, network=network)
    assert isinstance(model, Conditional)
    assert model.classes == 10
    model.nets.eval()
    z = model.prior(1).repeat(10, 1)
    with torch.no_grad():
        images = model.generate(z, torch.arange(10))
        scores = model.discriminate(images[:1].repeat(10, 1, 1, 1), torch.arange(10))
    assert len(images.flatten(1).unique(dim=0)) == len(scores.unique()) == 10


def test_the_label_of_a_real_sample_moves_the_discriminators_loss(make):
    model = make("cgan", IMAGES, **SIZES)
    d_loss = model.stages()[0].phases[0].loss
    x = torch.rand(8, 1, 28, 28) * 2 - 1
    torch.manual_seed(0)
    ones = d_loss(Batch(x=x, y=torch.ones(8, dtype=torch.int64)))["d"]["real"]
    torch.manual_seed(0)
    twos = d_loss(Batch(x=x, y=torch.full((8,), 2)))["d"]["real"]
    assert ones != twos


def test_unlabelled_data_is_refused_in_one_sentence(make):
    with pytest.raises(IncompatibleError, match="cgan needs labels, and 'faces' has none"):
        make("cgan", DataSpec(name="faces", shape=(3, 32, 32)))


def test_it_learns_digits(learns):
    untrained, trained, _ = learns("cgan", epochs=20, **SIZES, d_lr=1e-3, g_norm="batch")
    assert trained < 0.6 * untrained


def test_after_training_its_samples_are_of_the_class_that_was_asked_for(make, tmp_path):
    from genbench.engine import seed_everything, train
    from genbench.spec import RunSpec

    ring = small_data((2,), classes=4, train=512)
    seed_everything(0)
    model = make("cgan", ring.spec, g_hidden=(64, 64), d_hidden=(64, 64), d_lr=1e-3)
    spec = RunSpec(model="cgan", dataset="ring", epochs=75, batch_size=64)
    cpu = torch.device("cpu")
    train(model, ring, spec, device=cpu, folder=tmp_path, emit=lambda event: None)
    model.nets.eval()
    y = torch.arange(200) % 4
    with torch.no_grad():
        points = model.generate(model.prior(200, torch.Generator().manual_seed(0)), y)
    x, labels = torch.from_numpy(ring.train.x), torch.from_numpy(ring.train.y)
    centres = torch.stack([x[labels == c].mean(0) for c in range(4)])
    nearest = torch.cdist(points, centres).argmin(1)
    assert (nearest == y).float().mean() > 0.95


def test_the_command_line_samples_one_class_of_a_stored_run(command_line, tmp_path):
    def genbench(*arguments: str) -> str:
        answer = command_line(*arguments, folder=tmp_path)
        assert answer.code == 0, answer.err
        return answer.out

    sets = [f"--set={name}={value}" for name, value in (("g_hidden", "[16]"), ("d_hidden", "[16]"))]
    genbench("run", "cgan", "digits", "--epochs", "1", "--metric", "fd_pixel", *sets)
    for label, expected in ((["--label", "3"], [3] * 12), ([], [*range(10), 0, 1])):
        out = f"samples{len(label)}.npz"
        assert genbench("sample", "@1", "-n", "12", *label, "--out", out).strip() == out
        with np.load(tmp_path / out) as arrays:
            assert arrays["images"].shape == (12, 28, 28, 1)
            assert arrays["labels"].tolist() == expected
    assert json.loads(genbench("show", "@1", "--json"))["status"] == "finished"
