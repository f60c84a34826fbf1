"""The laws of black and white data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genbench import to_float
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.testing import check_dataset
from genbench_data.binarize import redrawn
from genbench_data.digits import Digits
from genbench_data.image_settings import DigitsSettings, FashionMnistSettings, MnistSettings
from genbench_data.torchvision_sets import Mnist


@pytest.fixture
def digits(access):
    return lambda **settings: Digits(DigitsSettings(size=8, **settings)).load(access)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_fixed_draw_is_black_or_white_and_white_as_often_as_the_pixel_is_bright(digits, part):
    grey, drawn = (getattr(digits(**s), part) for s in ({}, {"binarize": "fixed"}))
    assert set(np.unique(drawn.x)) == {0, 255}
    assert (drawn.x[grey.x == 0] == 0).all()
    assert (drawn.x[grey.x == 255] == 255).all()
    for level in np.unique(grey.x):
        white = drawn.x[grey.x == level] == 255
        expected = level / 255
        error = np.sqrt(max(expected * (1 - expected), 1e-12) / white.size)
        assert abs(white.mean() - expected) <= 4.5 * error + 1e-9, level
    assert np.array_equal(grey.y, drawn.y)


def test_the_fixed_draw_is_the_same_on_every_machine(digits):
    """Its stream is frozen, so these digests hold whatever the version of numpy."""
    drawn = digits(binarize="fixed")
    assert drawn.train.digest[:8] == "8a36ad0b"
    assert drawn.test.digest[:8] == "10616cbc"


def test_fixed_has_no_augment_and_dynamic_redraws_training_alone(digits):
    grey, fixed, dynamic = (digits(binarize=b) for b in ("none", "fixed", "dynamic"))
    assert grey.augment is None
    assert fixed.augment is None
    assert dynamic.augment is redrawn
    assert np.array_equal(dynamic.train.x, grey.train.x)
    assert np.array_equal(dynamic.test.x, fixed.test.x)
    assert dynamic.test.digest == fixed.test.digest != grey.test.digest
    assert len({grey.train.digest, fixed.train.digest, dynamic.train.digest}) == 3


def test_redrawing_keeps_black_and_white_and_draws_grey_anew_each_time():
    levels = torch.tensor([0, 64, 191, 255], dtype=torch.uint8).repeat_interleave(20_000)
    x = to_float(levels)
    torch.manual_seed(0)
    first, second = redrawn(x), redrawn(x)
    assert set(first.unique().tolist()) == {-1.0, 1.0}
    assert not torch.equal(first, second)
    shares = ((first + 1) / 2).view(4, -1).mean(1)
    assert shares[0] == 0
    assert shares[3] == 1
    assert torch.allclose(shares[1:3], torch.tensor([64 / 255, 191 / 255]), atol=0.015)
    torch.manual_seed(0)
    assert torch.equal(first, redrawn(x))


def test_a_limited_set_is_the_beginning_of_the_whole_draw(access, mnist_like):
    mnist_like(access.root)
    whole, some = (
        Mnist(MnistSettings(binarize="fixed", **limit)).load(access) for limit in ({}, {"limit": 9})
    )
    assert np.array_equal(some.train.x, whole.train.x[:9])
    assert np.array_equal(some.test.x, whole.test.x)
    assert set(np.unique(whole.train.x)) == {0, 255}


@pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
def test_binarised_digits_keep_the_contract_of_data_sets(binarize):
    check_dataset(Digits, DigitsSettings(size=8, binarize=binarize))


@pytest.mark.parametrize("cls", [DigitsSettings, MnistSettings, FashionMnistSettings])
def test_grey_data_is_stored_as_it_was_before_there_was_the_setting(cls):
    assert "binarize" not in cls().model_dump(mode="json")
    assert cls(binarize="fixed").model_dump(mode="json")["binarize"] == "fixed"


def test_the_experiment_hash_of_a_default_run_is_what_it_was():
    """The hash of `vae digits` by the version before the settings of likelihoods."""
    registry = Registry.from_environment()
    spec = RunSpec(
        model="vae",
        dataset="digits",
        model_settings=registry.settings("model", "vae")().model_dump(mode="json"),
        dataset_settings=DigitsSettings().model_dump(mode="json"),
        epochs=1,
        batch_size=100,
    )
    assert spec.experiment == "290418e08bd8f311"
