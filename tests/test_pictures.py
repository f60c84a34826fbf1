"""Pictures: which epochs have one; images are drawn large and exact, points where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.contracts import DataSpec, Picture
from genbench.pictures.figure import drawing, key_of
from genbench.pictures.plots import Classes, draw_classes, draw_ridgelines, draw_samples
from genbench.pictures.samples import (
    by_class,
    has_pictures,
    is_picture_epoch,
    save_image,
    save_samples,
)
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
    data = small_data((1, 28, 28))
    save_samples(images, None, data, tmp_path / "a" / "grid.png", "a run")
    pixels = opened(tmp_path / "a" / "grid.png")
    cells = pixels[-8 - 56 : -8 : 2, 8 : 8 + 56 : 2]
    assert np.array_equal(cells, images[0, 0].numpy())
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["grid.png"]


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_an_image_comes_back_from_its_file_bit_by_bit(tmp_path, channels, mode) -> None:
    image = torch.randint(0, 256, (channels, 9, 7), dtype=torch.uint8)
    save_image(image, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == mode
        pixels = np.asarray(picture).reshape(9, 7, channels)
    assert np.array_equal(pixels, image.permute(1, 2, 0).numpy())


# --- grids by class

CLOTHES = DataSpec(name="clothes", shape=(1, 8, 8), classes=3, class_names=("Shirt", "Bag", "Coat"))


def test_every_class_has_a_row_with_its_name_and_all_its_images() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    picture = Picture(images=images, about="Samples")
    mixed = by_class(picture, torch.tensor([2, 0, 2, 0, 2]), CLOTHES)
    assert (mixed.row_names, mixed.columns, mixed.rows) == (["Shirt", "Coat"], 3, 2)
    assert mixed.images[:, 0, 0, 0].tolist() == [1, 3, 255, 0, 2, 4]
    asked = by_class(picture, torch.tensor([2, 2, 2, 0, 0]), CLOTHES)
    assert asked.row_names == ["Coat", "Shirt"]
    assert asked.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 255]


def test_a_class_of_many_images_has_several_rows_with_one_name() -> None:
    labels = torch.arange(60) % 3
    grid = by_class(Picture(images=torch.zeros(60, 1, 8, 8).byte()), labels, CLOTHES)
    assert (grid.columns, grid.rows, grid.rows_together) == (10, 6, 2)
    assert grid.row_names == ["Shirt", "", "Bag", "", "Coat", ""]


def test_many_classes_of_few_images_stay_one_grid() -> None:
    grid = Picture(images=torch.zeros(64, 1, 8, 8).byte())
    assert by_class(grid, torch.arange(64) % 40, CLOTHES) is grid


# --- points


def rendered(figure: Any, axes: Any) -> tuple[np.ndarray, Any]:
    """The pixels of a figure, and a function from a point to its pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def at(x: float, y: float) -> np.ndarray:
        column, row = axes.transData.transform((x, y))
        return pixels[round(pixels.shape[0] - row), round(column)]

    return pixels, at


def scatter(samples: np.ndarray, data: np.ndarray, folder: Path) -> tuple[np.ndarray, Any]:
    with drawing(folder / "points.png") as figure:
        return rendered(figure, draw_samples(figure, samples, data, "points"))


def redness(pixel: np.ndarray) -> int:
    return int(pixel[0] - pixel[2])


def test_a_scatter_has_samples_over_the_data_at_their_places(tmp_path) -> None:
    samples = np.repeat([[1.0, 1.0], [0.5, -0.25]], 20, axis=0)
    _, at = scatter(samples, np.repeat(CORNERS, 20, axis=0), tmp_path)
    assert redness(at(1, 1)) > 100
    assert redness(at(0.5, -0.25)) > 100
    assert redness(at(-1, -1)) == 0
    assert 100 < at(-1, -1)[0] < 200
    assert at(0.25, 0.3).min() > 250


def test_both_axes_of_a_scatter_have_one_scale_and_y_points_up(tmp_path) -> None:
    with drawing(tmp_path / "points.png") as figure:
        data = np.array([[0.0, 0.0], [4.0, 1.0]])
        axes = draw_samples(figure, data, data, "points")
        origin, right, up = axes.transData.transform([(0, 0), (1, 0), (0, 1)])
    assert right[0] - origin[0] == pytest.approx(up[1] - origin[1])
    assert up[1] > origin[1]


def test_a_crowd_of_points_is_darker_than_a_stray_whatever_their_order(tmp_path) -> None:
    data = np.repeat(CORNERS, [1, 2, 3, 5], axis=0)
    nobody = np.empty((0, 2))
    pixels, at = scatter(nobody, data, tmp_path)
    light = [int(at(*corner).sum()) for corner in CORNERS]
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == 4
    assert np.array_equal(pixels, scatter(nobody, data[::-1], tmp_path)[0])


def test_samples_beyond_the_frame_or_not_finite_leave_the_plane_as_it_is(tmp_path) -> None:
    stray = np.array([[99.0, 0.0], [0.0, -99.0], [np.nan, 0.0], [0.0, np.inf]])
    with drawing(tmp_path / "stray.png") as figure:
        axes = draw_samples(figure, stray, CORNERS, "points")
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        axes.get_legend().remove()
        picture, _ = rendered(figure, axes)
    with drawing(tmp_path / "bare.png") as figure:
        axes = draw_samples(figure, np.empty((0, 2)), CORNERS, "points")
        axes.get_legend().remove()
        bare, _ = rendered(figure, axes)
    assert texts == ["data", "4 samples; 4 beyond the frame"]
    assert np.array_equal(picture, bare)


def test_one_single_point_of_data_is_a_picture_too(tmp_path) -> None:
    scatter(CORNERS, np.zeros((1, 2)), tmp_path)
    assert opened(tmp_path / "points.png").size


def test_points_in_the_plane_have_pictures_and_others_have_none(tmp_path) -> None:
    plane, space, images = (small_data(shape) for shape in ((2,), (3,), (1, 8, 8)))
    assert [has_pictures(data) for data in (plane, space, images)] == [True, False, True]
    save_samples(torch.from_numpy(plane.train.x), None, plane, tmp_path / "points.png", "a run")
    assert opened(tmp_path / "points.png").shape[0] > 500


# --- classes


@pytest.mark.parametrize("count", [2, 10, 40])
def test_every_class_has_a_colour_and_marker_and_line_of_its_own(count) -> None:
    keys = [key_of(number) for number in range(count)]
    assert len({(colour, marker) for colour, marker, _ in keys}) == count
    assert len({(colour, line) for colour, _, line in keys}) == count


def classes_of(count: int) -> Classes | None:
    names = [f"_class {i} of $x_{i}$ \x1b with a name of many letters" for i in range(count)]
    return Classes(labels=np.arange(200) % max(1, count), names=names) if count else None


@pytest.mark.parametrize("kind", ["scatter", "ridgelines"])
@pytest.mark.parametrize("count", [0, 1, 10, 40])
def test_all_names_of_classes_are_written_plainly_and_none_is_cut_or_overlaps(
    count, kind, tmp_path
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    points = np.random.default_rng(0).normal(size=(200, 2))
    path, classes = tmp_path / "p.png", classes_of(count)
    with drawing(path) as figure:
        if kind == "scatter":
            axes = draw_classes(figure, points, ("z0", "z1"), classes, "codes")
            names = axes.get_legend().get_texts() if count else []
        else:
            axes = draw_ridgelines(figure, points[:, 0], "z0", classes, "codes")
            names = axes.get_yticklabels() if count else []
        FigureCanvasAgg(figure).draw()
        texts = [*names, *axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        texts = [text for text in texts if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
    shown = [text.get_text().replace("\n", " ") for text in texts]
    for i in range(count):
        assert f"_class {i} of $x_{i}$ \\x1b with a name of many letters" in shown
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), shown[i]
    pixels = opened(path)
    for border in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (border == 255).all()


def test_codes_that_all_lie_in_one_place_are_a_figure_too(tmp_path) -> None:
    with drawing(tmp_path / "scatter.png") as figure:
        draw_classes(figure, np.zeros((9, 2)), ("z0", "z1"), None, "codes")
    with drawing(tmp_path / "ridge.png") as figure:
        draw_ridgelines(figure, np.zeros(9), "z0", None, "codes")
    assert len(np.unique(opened(tmp_path / "scatter.png"))) > 3
    assert len(np.unique(opened(tmp_path / "ridge.png"))) > 3


# --- the library


@pytest.fixture
def strange(tmp_path: Path) -> dict[str, str]:
    """A folder with a matplotlibrc of its own, and a home that can't be written."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 7\n")
    home = tmp_path / "file"
    home.write_text("")
    return {**os.environ, "HOME": str(home), "MPLCONFIGDIR": str(home / "config")}


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_figure_has_the_same_bytes_whatever_settings_and_home_a_person_has(
    kind, strange, tmp_path
) -> None:
    script = """
import sys
from pathlib import Path
from genbench.pictures.figure import drawing
with drawing(Path(sys.argv[1])) as figure:
    figure.add_axes((0, 0, 1, 1)).set_title("$x_1$ 日")
assert "matplotlib.pyplot" not in sys.modules
"""
    for name, env in (("a", None), ("b", strange)):
        command = [sys.executable, "-c", script, f"{name}.{kind}"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_figures_of_several_threads_are_those_of_one(tmp_path) -> None:
    def draw(name: str) -> None:
        with drawing(tmp_path / f"{name}.png") as figure:
            draw_samples(figure, CORNERS, CORNERS, "points")

    threads = [Thread(target=draw, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 4


def test_nothing_that_is_only_imported_loads_matplotlib() -> None:
    script = "import sys, genbench.runner, genbench.report.loss_curves; "
    script += "assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
