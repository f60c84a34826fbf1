"""Grids: which epochs have one, and that small images are drawn large and exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.pictures import picture_epochs, save_grid, save_image


def test_a_short_stage_has_a_picture_of_each_epoch() -> None:
    assert picture_epochs([("train", 4)], 0) == {1, 2, 3, 4}


@pytest.mark.parametrize("epochs", [1, 9, 37, 400, 5000])
def test_the_first_and_last_epoch_of_each_stage_have_a_picture_and_few_between(epochs) -> None:
    chosen = picture_epochs([("one", 5), ("two", epochs)], 0)
    assert {1, 5, 6, 5 + epochs} <= chosen
    assert len([epoch for epoch in chosen if epoch > 5]) <= 10


def test_a_given_cadence_counts_across_the_stages_and_keeps_their_ends() -> None:
    assert picture_epochs([("one", 5), ("two", 6)], 4) == {4, 5, 8, 11}


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
