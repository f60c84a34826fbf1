"""``genbench sample --label``: classes by number and by name, one or several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from command_line import Said
from PIL import Image

SIZES = ("--set", "hidden=[8]", "--set", "z_dim=2")


@pytest.fixture
def genbench(genbench, tmp_path) -> Callable[..., Said]:
    """The command line, in a folder with pictures of cats, dogs and newts."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs", "newts"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    return genbench


def trained(genbench: Callable[..., Said], model: str) -> None:
    pets = ("--set", "data.path=pets", "--set", "data.size=8", "--set", "data.channels=1")
    once = ("--epochs", "1", "--batch-size", "10", "--metric", "fd_pixel", "--device", "cpu", "-q")
    said = genbench("run", model, "image-folder", *pets, *once, *SIZES)
    assert said.code == 0, said.err


def test_a_class_is_asked_for_by_number_or_name_and_several_in_equal_shares(genbench):
    trained(genbench, "cvae")
    for asked, labels in {
        ("2",): [2] * 6,
        ("newts",): [2] * 6,
        ("Dogs", "cats"): [1, 1, 1, 0, 0, 0],
        ("2", "0", "dogs"): [2, 2, 0, 0, 1, 1],
        (): [0, 1, 2, 0, 1, 2],
    }.items():
        options = [part for label in asked for part in ("--label", label)]
        said = genbench("sample", "@1", "-n", "6", *options, "--out", "s.npz")
        assert said.code == 0, said.err
        with np.load("s.npz") as arrays:
            assert arrays["labels"].tolist() == labels, asked


def test_a_grid_of_several_classes_has_a_row_for_each(genbench):
    trained(genbench, "cvae")
    three = ("--label", "0", "--label", "1", "--label", "2")
    assert genbench("sample", "@1", "-n", "12", *three, "--out", "rows.png").code == 0
    assert genbench("sample", "@1", "-n", "12", "--label", "1", "--out", "one.png").code == 0
    with Image.open("rows.png") as rows, Image.open("one.png") as one:
        assert rows.height - one.height == 2 * (56 + 2), "three rows, and one"
        assert one.width > one.height * 2
        assert rows.width < one.width, "four images in a row, and twelve"


def test_a_class_that_is_not_there_is_an_error_that_names_those_that_are(genbench):
    trained(genbench, "cvae")
    for wrong in ("3", "-1", "newt"):
        said = genbench("sample", "@1", f"--label={wrong}")
        assert said.code == 2
        assert f"--label {wrong}: 'image-folder' has the classes 0 (cats), 1 (dogs)" in said.err
    said = genbench("sample", "@1", "-n", "1", "--label", "0", "--label", "1")
    assert (said.code, "1 sample of 2 classes" in said.err) == (2, True)


def test_a_model_without_labels_refuses_in_one_sentence(genbench):
    trained(genbench, "vae")
    said = genbench("sample", "@1", "--label", "newts", "--label", "0")
    assert said.code == 2
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("genbench: error: --label newts --label 0: model 'vae' of run")
    assert "not conditional" in last
