"""Every command works on runs of point data, called as a person calls them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from command_line import Said
from PIL import Image

DATA = ("--set", "data.train=600", "--set", "data.test=300")
SMALL = ("--set", "g_hidden=[16]", "--set", "d_hidden=[16]", "--batch-size", "200")
RUN = (*DATA, *SMALL, "--epochs", "2", "--device", "cpu")


@pytest.fixture
def genbench(genbench):
    """The command line, which must end with ``code``."""

    def call(*arguments: str, code: int = 0) -> Said:
        said = genbench(*arguments)
        assert said.code == code, said.err
        return said

    return call


def test_every_command_works_on_a_run_of_points(genbench, tmp_path) -> None:
    ran = json.loads(genbench("run", "gan", "gaussians-25", *RUN, "--json").out)
    scores = {score["metric"]: score for score in ran["scores"]}
    assert list(scores) == ["modes", "high_quality", "mode_kl", "fd_pixel"]
    assert scores["modes"]["floor"] == 25

    folder = tmp_path / "runs" / ran["run"]
    pictures = [folder / "samples.png", *sorted((folder / "samples").iterdir())]
    assert [path.name for path in pictures[1:]] == ["epoch-0001.png", "epoch-0002.png"]
    assert pictures[0].read_bytes() == pictures[2].read_bytes() != pictures[1].read_bytes()
    sizes = set()
    for path in pictures:
        with Image.open(path) as picture:
            sizes.add(picture.size)
    assert len(sizes) == 1, "pictures of all epochs have one size"

    shown = json.loads(genbench("show", "@1", "--json").out)
    assert [made["kind"] for made in shown["artifacts"]] == ["samples"] * 3
    assert "high_quality" in genbench("compare").out

    evaluated = genbench("evaluate", "@1", "--metric", "mode_std", "--samples", "200", "--json")
    for score in json.loads(evaluated.out)["scores"]:
        assert score["floor"] == pytest.approx(0.05, rel=0.1)

    genbench("report", "--out", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert "Samples over the training" in page


def test_a_run_trains_and_scores_where_matplotlib_is_missing_and_warns_once(
    genbench, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = genbench("run", "gan", "gaussians-25", *RUN, "--json")
    ran = json.loads(said.out)
    assert (ran["status"], len(ran["scores"])) == ("finished", 4)
    assert "the picture of samples is skipped" in said.err
    folder = tmp_path / "runs" / ran["run"]
    assert len(list((folder / "tracebacks").iterdir())) == 1
    assert not (folder / "samples.png").exists()


def test_points_are_sampled_into_a_scatter_or_an_array_and_no_folder(genbench, tmp_path) -> None:
    genbench("run", "gan", "swiss-roll", *RUN)
    genbench("sample", "@1", "-n", "70", "--out", "points.npz")
    with np.load("points.npz") as arrays:
        assert list(arrays) == ["points"]
        assert (arrays["points"].shape, arrays["points"].dtype) == ((70, 2), np.float32)
    genbench("sample", "@1", "-n", "70", "--out", "points.png")
    with Image.open("points.png") as picture:
        assert picture.height > picture.width > 500
    said = genbench("sample", "@1", "--out", "folder/", code=2)
    assert "use --out points.npz or points.png" in said.err
    assert not (tmp_path / "folder").exists()


def test_unlabelled_points_are_scored_without_modes(genbench) -> None:
    ran = json.loads(genbench("run", "gan", "swiss-roll", *RUN, "--json").out)
    assert [score["metric"] for score in ran["scores"]] == ["fd_pixel"]
    said = genbench("evaluate", "@1", "--metric", "modes", "--samples", "50", code=2)
    assert "no modes: modes are the classes of labelled points, and 'swiss-roll' has" in said.err


@pytest.mark.parametrize(
    ("model", "hint"), [("vae", "set likelihood=gaussian"), ("vaegan", "use gan, or vae with")]
)
def test_models_of_values_in_a_range_refuse_points_in_one_sentence(genbench, model, hint) -> None:
    said = genbench("run", model, "gaussians-25", "--dry-run", code=2)
    assert "'gaussians-25' has points" in said.err
    assert hint in said.err


def test_a_vae_with_a_gaussian_likelihood_reaches_points_beyond_1(genbench) -> None:
    network = ("--set", "likelihood=gaussian", "--set", "z_dim=2", "--set", "hidden=[32]")
    rate = ("--set", "lr=0.01", "--batch-size", "50", "--epochs", "4", "--device", "cpu")
    genbench("run", "vae", "gaussians-25", *DATA, *network, *rate)
    genbench("sample", "@1", "-n", "500", "--out", "points.npz")
    with np.load("points.npz") as arrays:
        assert np.abs(arrays["points"]).max() > 1.2
