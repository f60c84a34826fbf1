"""``input_range``: the scale on which an encoder sees images, and the presets that ask for it."""

from __future__ import annotations

import pytest
import torch

from genbench import DataSpec, IncompatibleError
from genbench.errors import SettingError
from genbench.settings import validate

IMAGES = DataSpec(name="images", shape=(1, 28, 28), train=100, test=20, classes=10)
POINTS = DataSpec(name="points", shape=(2,), train=100, test=20)
ENCODERS = (
    "vae",
    "cvae",
    "ae",
    "dae",
    "cae",
    "vae-gmm",
    "vae-bernoulli",
    "vaegan",
    "vaegan-larsen",
    "aae",
    "avb",
    "cvae-gan",
)
"""Every model with an encoder from `genbench_nets.coders`."""
OF_ZERO_TO_ONE = {
    ("vae", "lin2023"),
    ("vae", "guo2023"),
    ("vae", "ying"),
    ("vae", "ijzer"),
    ("vae-bernoulli", "ying"),
    ("vaegan", "lin2023"),
    ("cvae-gan", "guo2023"),
}
"""Presets with code that feeds [0, 1], or a document that compares a sigmoid with its own input."""


@pytest.fixture
def pair(make):
    """The same weights, their encoder fed [-1, 1] and [0, 1]."""

    def build(name: str, **settings):
        made = []
        for scale in ({}, {"input_range": "0,1"}):
            torch.manual_seed(0)
            made.append(make(name, IMAGES, **settings, **scale))
            made[-1].nets.eval()
        return made

    return build


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_of_zero_to_one_sees_images_mapped_from_the_benchs_scale(pair, name):
    plain, mapped = pair(name)
    x, y = torch.rand(4, 1, 28, 28) * 2 - 1, torch.arange(4)
    torch.manual_seed(1)
    seen = mapped.encode(x, y)[0]
    torch.manual_seed(1)
    assert torch.equal(seen, plain.encode((x + 1) / 2, y)[0])


def test_labels_beside_the_image_stay_one_hot(pair):
    plain, mapped = pair("cvae", network="conv")
    x, y = torch.zeros(2, 1, 28, 28), torch.tensor([3, 7])
    assert torch.equal(mapped.encode(x, y)[0], plain.encode((x + 1) / 2, y)[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_the_scale_of_before_leaves_no_trace_in_what_is_stored(plugins, name):
    stored = validate(plugins.settings("model", name), {}, owner=name).model_dump(mode="json")
    assert "input_range" not in stored


@pytest.mark.parametrize("name", ["vae", "ae"])
def test_values_that_lie_anywhere_have_no_zero_to_one(make, name):
    error = "mse" if name == "ae" else "gaussian"
    key = "loss" if name == "ae" else "likelihood"
    with pytest.raises(IncompatibleError, match=r"input_range=0,1 .* leave input_range"):
        make(name, POINTS, input_range="0,1", **{key: error})


@pytest.mark.parametrize(
    ("name", "settings"),
    [("vae", {"centred": True}), ("vaegan-larsen", {"architecture": "paper"})],
)
def test_what_has_a_scale_of_its_own_takes_no_other(plugins, name, settings):
    given = {"input_range": "0,1", **settings}
    with pytest.raises(SettingError, match="leave input_range"):
        validate(plugins.settings("model", name), given, owner=name)


def test_the_presets_with_a_source_that_feeds_zero_to_one_do_so(plugins):
    asking = {
        (model.name, preset.name)
        for model in plugins.of("model")
        for preset in plugins.presets(model.name)
        if preset.settings.get("input_range") == "0,1"
    }
    assert asking == OF_ZERO_TO_ONE
    for model, name in OF_ZERO_TO_ONE:
        variants = [p for p in plugins.presets(model) if p.name == name]
        assert all(p.settings["input_range"] == "0,1" for p in variants), (model, name)
