"""Paths, walks and grids in latent spaces, and the figures that they become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.contracts import DataSpec, Picture
from genbench.errors import UsageError
from genbench.latent.encode import view_of
from genbench.latent.paths import path
from genbench.latent.spaces import LatentSpace
from genbench.latent.walks import (
    grid,
    most_active,
    most_telling,
    moved,
    plain_unit,
    stops,
    unit_of,
    walks,
)
from genbench.pictures.classes import class_of, pair_of
from genbench.pictures.sheet import CELL, GAP, SPACE, drawn, save_sheet, wrapped
from genbench.testing import small_data

KINDS = ("linear", "spherical")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def on_the_plane() -> LatentSpace:
    """Two dimensions that are the grey level of two pixels: -5 is black, 5 is white."""
    data = small_data((1, 1, 2))
    return LatentSpace(
        shape=(2,),
        law="normal",
        to_samples=lambda z, y: (z / 5).view(-1, 1, 1, 2),
        data=data,
        device=torch.device("cpu"),
    )


# --- paths


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1,), (2,), (20,), (3, 4, 4)])
def test_a_path_begins_and_ends_bitwise_at_its_ends_and_keeps_shape_and_type(kind, shape) -> None:
    a, b = noise(5, *shape), noise(5, *shape, seed=1)
    way = path(kind, a, b, 7)
    assert (way.shape, way.dtype) == ((5, 7, *shape), torch.float32)
    assert torch.equal(way[:, 0], a)
    assert torch.equal(way[:, -1], b)


def test_a_spherical_path_keeps_the_norm_of_ends_that_share_it_and_a_straight_one_does_not() -> (
    None
):
    a, b = (x / x.norm(dim=1, keepdim=True) * 8 for x in (noise(6, 64), noise(6, 64, seed=1)))
    assert torch.allclose(path("spherical", a, b, 9).norm(dim=2), torch.tensor(8.0), atol=1e-4)
    assert path("linear", a, b, 9)[:, 4].norm(dim=1).max() < 7


def test_a_spherical_path_turns_at_a_constant_rate_while_its_norm_goes_linearly() -> None:
    way = path("spherical", torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]]), 4)[0]
    assert torch.allclose(way.norm(dim=1), torch.tensor([2, 8 / 3, 10 / 3, 4]))
    angles = torch.atan2(way[:, 1], way[:, 0]).rad2deg()
    assert torch.allclose(angles, torch.tensor([0.0, 30, 60, 90]), atol=1e-4)


def test_a_spherical_path_agrees_with_the_formula_of_white_for_equal_norms() -> None:
    a, b = (torch.nn.functional.normalize(x) for x in (noise(4, 10), noise(4, 10, seed=1)))
    omega = torch.acos((a * b).sum(1, keepdim=True))
    half = (torch.sin(omega / 2) / torch.sin(omega)) * (a + b)
    assert torch.allclose(path("spherical", a, b, 3)[:, 1], half, atol=1e-5)


@pytest.mark.parametrize("factor", [1.0, -1.0, 1 + 1e-7, -2.0, 0.0])
def test_parallel_opposite_and_vanishing_ends_give_finite_paths_of_the_right_norm(factor) -> None:
    a = noise(8, 16)
    way = path("spherical", a, factor * a, 5)
    assert torch.isfinite(way).all()
    middle = a.norm(dim=1) * (1 + abs(factor)) / 2
    assert torch.allclose(way[:, 2].norm(dim=1), middle, rtol=1e-4)


def test_in_one_dimension_every_path_is_straight() -> None:
    ends = torch.tensor([[-2.0]]), torch.tensor([[2.0]])
    assert path("spherical", *ends, 5).flatten().tolist() == [-2, -1, 0, 1, 2]


# --- traversals


def test_stops_go_evenly_through_zero_or_by_equal_shares_of_the_prior() -> None:
    assert stops("linear", 5, 11) == [float(value) for value in range(-5, 6)]
    assert stops("quantiles", 0, 3) == pytest.approx([-0.9674, 0, 0.9674], abs=1e-4)
    assert stops("quantiles", 0, 4, "uniform") == pytest.approx([-0.75, -0.25, 0.25, 0.75])


def test_a_walk_changes_its_own_dimension_alone() -> None:
    start = noise(2, 3)
    places = moved(start, [-1.0, 0.5], [4, 0]).view(2, 2, 6)
    for row, dim in enumerate((4, 0)):
        assert places[row, :, dim].tolist() == [-1.0, 0.5]
        others = [i for i in range(6) if i != dim]
        assert torch.equal(places[row][:, others], start.flatten()[others].expand(2, -1))


def test_the_lower_left_of_a_grid_is_the_lowest_of_both_and_the_second_runs_upwards() -> None:
    sheet = grid(on_the_plane(), [-5.0, 0.0, 5.0], plain_unit((2,)), None)
    corners = sheet.images.view(3, 3, 2)
    assert corners[2, 0].tolist() == [0, 0]
    assert corners[2, 2].tolist() == [255, 0]
    assert corners[0, 0].tolist() == [0, 255]
    assert (sheet.row_names[0], sheet.column_names[0]) == ("5", "-5")


def test_a_walk_from_a_code_leaves_what_it_does_not_walk_along() -> None:
    unit = unit_of(torch.tensor([[0.0, 1.0], [4.0, 3.0]]))
    start = torch.tensor([1.0, 2.0])
    assert torch.allclose(unit.latents(unit.values(start)), start)
    sheet = walks(on_the_plane(), [0.0], unit, None, start=start, dims=[0])
    space_of_mean = on_the_plane().images(torch.tensor([[2.0, 2.0]]))
    assert torch.equal(sheet.images, space_of_mean)


def test_a_dimension_without_variance_is_the_least_active() -> None:
    codes = noise(100, 3) * torch.tensor([0.1, 0.0, 2.0])
    assert most_active(codes, 3) == [2, 0, 1]


def test_the_most_telling_dimension_is_that_which_moves_the_image_most() -> None:
    space = on_the_plane()
    weak = LatentSpace(
        shape=(2,),
        law="normal",
        to_samples=lambda z, y: space.to_samples(z * torch.tensor([0.1, 1.0]), y),
        data=space.data,
        device=space.device,
    )
    assert most_telling(weak, 3.0, plain_unit((2,)), None, 1) == [1]


# --- codes


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 2, 1)])
def test_codes_of_one_or_two_dimensions_are_shown_as_they_are(shape) -> None:
    codes = noise(50, *shape).numpy()
    assert np.allclose(view_of(codes)[0], codes.reshape(50, -1), atol=0)


def test_wider_codes_are_shown_by_the_two_directions_they_vary_most_in() -> None:
    codes = noise(400, 6) * torch.tensor([0.1, 5.0, 0.1, 0.1, 2.0, 0.1])
    places, axes = view_of(codes.numpy())
    centred = (codes - codes.mean(0)).numpy()
    assert abs(np.corrcoef(places[:, 0], centred[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], centred[:, 4])[0, 1]) > 0.99
    variance = codes.var(0)
    share = round(float(100 * variance[1] / variance.sum()))
    assert f"({share}% of the variance of 6 dimensions)" in axes[0]


# --- classes by name


CLOTHES = DataSpec(name="clothes", shape=(1, 8, 8), classes=3, class_names=("Shirt", "Bag", "Coat"))


def test_a_class_goes_by_number_or_by_name() -> None:
    assert [class_of(text, "--label", CLOTHES) for text in ("1", "bag", " Coat ")] == [1, 1, 2]
    assert pair_of("2,shirt", CLOTHES) == (2, 0)


@pytest.mark.parametrize("text", ["3", "-1", "bags", "²"])
def test_an_unknown_class_is_answered_with_those_that_there_are(text) -> None:
    with pytest.raises(UsageError, match=r"0 \(Shirt\), 1 \(Bag\), 2 \(Coat\)"):
        class_of(text, "--label", CLOTHES)


@pytest.mark.parametrize("text", ["1", "1,2,0", "1,1"])
def test_a_pair_is_two_different_classes(text) -> None:
    with pytest.raises(UsageError, match="two"):
        pair_of(text, CLOTHES)


# --- sheets


def test_a_sheet_has_every_image_enlarged_and_exact_and_gaps_between_groups(tmp_path) -> None:
    images = torch.randint(0, 255, (4, 1, 28, 28), dtype=torch.uint8)
    picture = Picture(images=images, columns=2, groups=(("", 1), ("", 1)), rows_together=1)
    save_sheet(picture, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    step = 56 + SPACE + GAP
    assert pixels.shape == (step + 56 + 2 * SPACE,) * 2
    for place, image in enumerate(images[:, 0]):
        top, left = SPACE + step * (place // 2), SPACE + step * (place % 2)
        assert np.array_equal(pixels[top : top + 56 : 2, left : left + 56 : 2], image.numpy())


def test_texts_stand_beside_the_images_and_never_on_them_and_none_is_cut() -> None:
    images = torch.full((6, 3, 28, 28), 7, dtype=torch.uint8)
    texts = {
        "row_names": ("one", "a class with a very long name, longer than all of the images"),
        "column_names": ("a", "b", "c"),
        "groups": (("a heading that is longer than its column", 1), ("", 2)),
        "about": "Words of a caption that are many more than there is room for in one line",
    }
    bare = np.asarray(drawn(Picture(images=images, columns=3)))
    cells = 6 * 56 * 56
    assert int((bare == 7).all(2).sum()) == cells
    for name, text in texts.items():
        sheet = np.asarray(drawn(Picture(images=images, columns=3, **{name: text}), "of a run"))
        assert sheet.size > bare.size, name
        assert int((sheet == 7).all(2).sum()) == cells, name
        for border in (sheet[:3], sheet[-3:], sheet[:, :3], sheet[:, -3:]):
            assert (border == 255).all(), name


def test_words_of_a_heading_stay_whole_and_long_ones_move_the_groups_apart() -> None:
    assert wrapped("opposite Wearing_Necktie", 64) == "opposite\nWearing_\nNecktie"
    assert wrapped("Blond_Hair,not Black_Hair", 75) == "Blond_Hair,\nnot\nBlack_Hair"
    assert wrapped("a heading of words", 64) == "a heading\nof words"
    assert wrapped("T-shirt/top", 56) == "T-shirt/\ntop"
    assert wrapped("misunderstanding", 64) == "misunderstanding"
    assert "\n" in wrapped("x" * 200, 64)
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    short, long = (
        drawn(Picture(images=images, columns=2, groups=((name, 1), (name, 1)))).width
        for name in ("5", "misunderstanding")
    )
    assert long > short + 56


def test_the_file_says_how_much_of_its_top_the_caption_takes(tmp_path) -> None:
    picture = Picture(images=torch.full((6, 1, 28, 28), 7, dtype=torch.uint8), columns=3)
    save_sheet(picture, tmp_path / "sheet.png", "of a run")
    with Image.open(tmp_path / "sheet.png") as sheet:
        height, pixels = int(sheet.text["caption-height"]), np.asarray(sheet)
    assert (pixels[:height] < 200).any()
    assert (pixels[height : height + SPACE] == 255).all()
    assert (pixels[height + SPACE] == 7).any()


@pytest.mark.parametrize("side", [8, 14, 28, 32])
def test_small_images_are_enlarged_to_a_readable_size_on_wide_sheets_too(side) -> None:
    images = torch.zeros(21 * 21, 1, side, side, dtype=torch.uint8)
    assert drawn(Picture(images=images, columns=21)).width >= 21 * CELL
