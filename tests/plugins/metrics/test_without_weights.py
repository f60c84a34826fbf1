"""ct, authenticity, vendi, nn_accuracy and fd_inf: each has an oracle, and a floor that real data
reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genbench import Data, DataSpec, Split, UsageError
from genbench.settings import validate
from genbench_metrics.copying import Authenticity, Copying, rank_score
from genbench_metrics.fd_inf import FdInf
from genbench_metrics.feature_settings import CopyingSettings
from genbench_metrics.nn_accuracy import NnAccuracy
from genbench_metrics.vendi import Vendi, vendi_score


def normal(n: int, seed: int, dims: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dims))).float()


@pytest.fixture
def on_points(context):
    """A context over normal points: 600 to train, 400 to test."""

    def make(n=400, dims=4, test=400):
        spec = DataSpec(name="points", shape=(dims,))
        train, test = (
            Split(x=normal(size, seed, dims).numpy(), y=None, digest=f"{seed} {dims} {size}")
            for seed, size in ((1, 600), (2, test))
        )
        return context(data=Data(spec=spec, train=train, test=test), n=n)

    return make


COPIES = normal(600, 1)[:400] + 1e-3
SAME_LAW = normal(400, 3)
FAR = normal(400, 3) + 9


def test_ct_is_a_normal_score_for_the_law_of_the_data_and_tells_copies_from_strangers(
    take, on_points
):
    copies, same, far = (take(Copying(), on_points(), x) for x in (COPIES, SAME_LAW, FAR))
    assert copies.value < -10
    assert abs(same.value) < 3
    assert far.value > 5
    assert (same.floor, same.direction) == (0.0, "floor")
    assert same.protocol["cells"] == 5


def test_ct_weights_the_cells_by_their_test_images(take, on_points):
    half = torch.cat([COPIES[:200], SAME_LAW[:200]])
    whole, mixed = (take(Copying(), on_points(), x).value for x in (COPIES, half))
    assert whole < mixed < -3


def test_the_rank_score_has_its_closed_form_at_the_ends_and_in_the_middle():
    one, other = torch.arange(30.0), torch.arange(30.0) + 100
    end = (30 * 30 / 2) / math.sqrt(30 * 30 * 61 / 12)
    assert rank_score(one, other) == pytest.approx(-end)
    assert rank_score(other, one) == pytest.approx(end)
    assert rank_score(one, one) == 0


def test_ct_without_a_cell_of_enough_samples_tells_what_to_set(take, on_points):
    metric = Copying(validate(CopyingSettings, {"fewest": 500}, owner="ct"))
    with pytest.raises(UsageError, match=r"needs a cell with 500 samples"):
        take(metric, on_points(), SAME_LAW)


def test_no_copy_is_authentic_and_samples_of_the_law_are_as_authentic_as_test_images(
    take, on_points
):
    copies, same, far = (take(Authenticity(), on_points(), x) for x in (COPIES, SAME_LAW, FAR))
    assert copies.value < 0.01
    assert same.value == pytest.approx(same.floor, abs=0.07)
    assert far.value == 1
    held_out = take(Authenticity(), on_points(), normal(400, 2))
    assert held_out.value == held_out.floor


@pytest.mark.parametrize("different", [1, 3, 8])
def test_vendi_is_the_number_of_orthogonal_kinds(different):
    kinds = torch.eye(10)[torch.arange(240) % different] * torch.rand(240, 1).add(0.5)
    assert vendi_score(kinds) == pytest.approx(different, rel=1e-6)
    assert vendi_score(kinds[:different]) == pytest.approx(different, rel=1e-6)  # n below d


def test_vendi_falls_with_a_collapse_and_is_near_its_floor_for_the_law(take, on_points):
    same = take(Vendi(), on_points(), SAME_LAW)
    collapsed = take(Vendi(), on_points(), SAME_LAW[:1].repeat(400, 1))
    assert same.value == pytest.approx(same.floor, rel=0.05)
    assert collapsed.value == pytest.approx(1, abs=1e-6)
    assert same.direction == "floor"


def test_a_neighbour_is_right_half_of_the_time_for_one_law_and_always_for_two(take, on_points):
    same, far, copies = (
        take(NnAccuracy(), on_points(), x) for x in (SAME_LAW, FAR, normal(400, 2))
    )
    assert same.value == pytest.approx(0.5, abs=0.07)
    assert same.floor == pytest.approx(0.5, abs=0.07)
    assert far.value == 1
    assert copies.value == 0


def test_the_extrapolated_distance_is_nearer_to_the_truth_than_that_of_all_samples(take, on_points):
    samples = normal(300, 5, 8)
    found = take(FdInf(), on_points(n=300, dims=8, test=20_000), samples)
    plain = float(found.note.rpartition("; ")[2].split(" at ")[0])
    assert abs(found.value) < 0.4 * plain  # the truth is 0
    assert abs(found.floor) < 0.05


def test_the_extrapolated_distance_of_exact_lines_is_their_value_at_infinity(
    take, on_points, monkeypatch
):
    metric = FdInf()
    monkeypatch.setattr(metric, "_distance", lambda features, size, order: 3 + 70 / size)
    found = take(metric, on_points(), SAME_LAW)
    assert found.value == pytest.approx(3)
