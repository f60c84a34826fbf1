"""Pictures: which epochs have one; images are drawn large and exact, points where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.pictures.samples import (
    has_pictures,
    is_picture_epoch,
    save_grid,
    save_image,
    save_samples,
)
from genbench.pictures.scatter import DATA_INK, PAPER, SAMPLE_INK, SIDE, plane_of, scatter, ticks
from genbench.testing import small_data

CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])


def picture_epochs(stages: list[tuple[str, int]], every: int) -> set[int]:
    total = sum(epochs for _, epochs in stages)
    return {epoch for epoch in range(1, total + 1) if is_picture_epoch(epoch, stages, every)}


def test_a_short_stage_has_a_picture_of_each_epoch() -> None:
    assert picture_epochs([("train", 4)], 0) == {1, 2, 3, 4}


@pytest.mark.parametrize("epochs", [1, 9, 37, 400, 5000])
def test_the_first_and_last_epoch_of_each_stage_have_a_picture_and_few_between(epochs) -> None:
    chosen = picture_epochs([("one", 5), ("two", epochs)], 0)
    assert {1, 5, 6, 5 + epochs} <= chosen
    assert len([epoch for epoch in chosen if epoch > 5]) <= 10


def test_a_given_cadence_counts_across_the_stages_and_keeps_their_ends() -> None:
    assert picture_epochs([("one", 5), ("two", 6)], 4) == {4, 5, 8, 11}


@pytest.mark.parametrize("every", [0, 1])
def test_a_stage_of_any_length_takes_no_memory_to_ask(every) -> None:
    assert is_picture_epoch(10**15, [("long", 10**15)], every)


def test_small_images_are_drawn_at_a_whole_multiple_of_their_size(tmp_path) -> None:
    images = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8)
    save_grid(images, tmp_path / "a" / "grid.png")
    with Image.open(tmp_path / "a" / "grid.png") as grid:
        pixels = np.asarray(grid)
    first = pixels[2:58:2, 2:58:2, 0]
    assert np.array_equal(first, images[0, 0].numpy())
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["grid.png"]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_an_image_comes_back_from_its_file_bit_by_bit(tmp_path, channels, mode) -> None:
    image = torch.randint(0, 256, (channels, 9, 7), dtype=torch.uint8)
    save_image(image, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == mode
        pixels = np.asarray(picture).reshape(9, 7, channels)
    assert np.array_equal(pixels, image.permute(1, 2, 0).numpy())


def nearest_ink(pixel: np.ndarray) -> str:
    inks = {"data": DATA_INK.colour, "samples": SAMPLE_INK.colour, "paper": PAPER}
    return min(inks, key=lambda name: np.abs(np.subtract(inks[name], pixel, dtype=float)).sum())


def at(picture: np.ndarray, point: tuple[float, float], data: np.ndarray) -> np.ndarray:
    column, row = plane_of(data).pixels(np.array([point], dtype=float))[0]
    return picture[int(row), int(column)]


def test_a_scatter_has_samples_over_the_data_at_their_places() -> None:
    samples = np.repeat([[1.0, 1.0], [0.5, -0.25]], 20, axis=0)
    data = np.repeat(CORNERS, 20, axis=0)
    picture = scatter(samples, data)
    assert (picture.shape, picture.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert nearest_ink(at(picture, (1, 1), data)) == "samples"
    assert nearest_ink(at(picture, (0.5, -0.25), data)) == "samples"
    assert nearest_ink(at(picture, (-1, -1), data)) == "data"
    assert nearest_ink(at(picture, (0.25, 0.3), data)) == "paper"


def test_both_axes_of_a_scatter_have_one_scale_and_y_points_up() -> None:
    plane = plane_of(np.array([[0.0, 0.0], [4.0, 1.0]]))
    (x0, y0), (x1, y1), (x2, y2) = plane.pixels(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert x1 - x0 == pytest.approx(y0 - y2)
    assert (y0, x0) == pytest.approx((y1, x2))
    assert y2 < y0


def test_a_crowd_of_points_is_darker_than_a_stray_whatever_their_order() -> None:
    data = np.repeat(CORNERS, [1, 2, 5, 50], axis=0)
    nobody = np.empty((0, 2))
    picture = scatter(nobody, data)
    light = [int(at(picture, tuple(corner), data).sum()) for corner in CORNERS]
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == 4
    assert np.array_equal(picture, scatter(nobody, data[::-1]))


def test_samples_beyond_the_frame_or_not_finite_leave_the_plane_as_it_is() -> None:
    stray = np.array([[99.0, 0.0], [0.0, -99.0], [np.nan, 0.0], [0.0, np.inf]])
    top = SIDE // 4
    picture, bare = scatter(stray, CORNERS), scatter(np.empty((0, 2)), CORNERS)
    assert np.array_equal(picture[top:], bare[top:])
    assert not np.array_equal(picture[:top], bare[:top])


def test_one_single_point_of_data_is_a_picture_too() -> None:
    assert scatter(CORNERS, np.zeros((1, 2))).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(("low", "high"), [(-2.55, 2.55), (0, 1), (-1e-3, 4e-3), (1e6, 9e6)])
def test_ticks_are_round_numbers_within_the_axis_three_to_eight_of_them(low, high) -> None:
    numbers = ticks(low, high)
    assert 3 <= len(numbers) <= 8
    assert low <= numbers[0] < numbers[-1] <= high
    assert len({f"{number:g}" for number in numbers}) == len(numbers)


def test_points_in_the_plane_have_pictures_and_others_have_none(tmp_path) -> None:
    plane, space, images = (small_data(shape) for shape in ((2,), (3,), (1, 8, 8)))
    assert [has_pictures(data) for data in (plane, space, images)] == [True, False, True]
    save_samples(torch.from_numpy(plane.train.x), plane, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        assert (picture.size, picture.mode) == ((SIDE, SIDE), "RGB")
