from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_swiss_roll

from genbench.testing import check_dataset

NAMES = ("gaussians-25", "gaussians-8", "swiss-roll")


@pytest.mark.parametrize("name", NAMES)
def test_every_toy_set_keeps_the_contract(name):
    check_dataset(name)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_float32_in_the_plane_and_the_parts_share_none(toy, name):
    data = toy(name)
    assert data.train.x.shape == (5_000, 2)
    assert data.test.x.shape == (2_000, 2)
    assert data.train.x.dtype == np.float32
    assert not set(map(tuple, data.train.x)) & set(map(tuple, data.test.x))


@pytest.mark.parametrize(("name", "classes"), [("gaussians-25", 25), ("gaussians-8", 8)])
def test_labels_are_the_modes_all_about_as_frequent(toy, name, classes):
    y = toy(name, train=50_000).train.y
    share = np.bincount(y, minlength=classes) / len(y)
    assert y.dtype == np.int64
    assert len(share) == classes
    assert np.abs(share * classes - 1).max() < 0.12


def test_the_25_modes_stand_on_a_grid_of_spacing_1_with_a_std_of_a_twentieth(toy):
    data = toy("gaussians-25", train=50_000)
    means = np.stack([data.train.x[data.train.y == k].mean(axis=0) for k in range(25)])
    grid = np.array([(x, y) for y in range(-2, 3) for x in range(-2, 3)])
    assert np.abs(means - grid).max() < 0.005
    assert (data.train.x - grid[data.train.y]).std(axis=0) == pytest.approx([0.05, 0.05], rel=0.01)


def test_the_8_modes_stand_on_a_ring_of_radius_2(toy):
    data = toy("gaussians-8", train=50_000)
    means = np.stack([data.train.x[data.train.y == k].mean(axis=0) for k in range(8)])
    assert np.hypot(*means.T) == pytest.approx([2.0] * 8, abs=0.002)
    assert np.arctan2(means[1, 1], means[1, 0]) == pytest.approx(np.pi / 4, abs=0.002)
    around = data.train.x - means[data.train.y]
    assert around.std(axis=0) == pytest.approx([0.02, 0.02], rel=0.02)


def test_the_roll_is_that_of_scikit_learn_in_the_plane_over_7_and_a_half(toy):
    ours = toy("swiss-roll", train=50_000).train.x
    theirs = make_swiss_roll(50_000, noise=0.25, random_state=1)[0][:, [0, 2]] / 7.5
    for ours_i, theirs_i in zip(np.sort(ours.T), np.sort(theirs.T), strict=True):
        assert np.abs(ours_i - theirs_i).mean() < 0.02
    assert np.sort(np.hypot(*ours.T))[::5_000] == pytest.approx(
        np.sort(np.hypot(*theirs.T))[::5_000], abs=0.04
    )


def test_the_roll_has_no_labels(toy):
    assert toy("swiss-roll").train.y is None
    assert toy("swiss-roll").spec.classes is None


def test_settings_move_and_widen_the_modes(toy):
    data = toy("gaussians-25", spacing=3.0, std=0.2)
    centres = 3.0 * np.array([(x, y) for y in range(-2, 3) for x in range(-2, 3)])
    assert (data.train.x - centres[data.train.y]).std() == pytest.approx(0.2, rel=0.05)
    assert np.hypot(*toy("gaussians-8", radius=5.0).train.x.T).mean() == pytest.approx(5, abs=0.01)
    assert np.abs(toy("swiss-roll", noise=0.0, scale=1.0).train.x).max() < 4.5 * np.pi


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_points_and_the_size_of_one_part_leaves_the_other(toy, name):
    first = toy(name)
    assert toy(name, seed=1).train.digest != first.train.digest
    assert toy(name, train=100).test.digest == first.test.digest
    assert toy(name, train=100).train.digest != first.train.digest


def test_the_points_of_a_seed_are_fixed_for_ever(toy):
    data = toy("gaussians-25")
    assert data.train.y[:8].tolist() == [9, 21, 5, 24, 14, 17, 1, 11]
    assert data.train.x[0] == pytest.approx([2.054219, -0.990405], abs=1e-6)


def test_describing_toy_data_imports_neither_numpy_nor_torch():
    code = """
import sys
from pathlib import Path
from genbench import DataAccess
from genbench_toy import toy_settings as settings
access = DataAccess(root=Path("data"), cache=Path("cache"))
assert settings.Gaussians25Settings().describe(access).classes == 25
assert settings.SwissRollSettings(train=7).describe(access).train == 7
sys.exit(", ".join({"numpy", "torch"} & set(sys.modules)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
