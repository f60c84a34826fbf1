"""``interpolate``, ``traverse``, ``latents``, ``reconstruct`` and ``curves`` on real tiny runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from command_line import in_process
from PIL import Image

from genbench.latent.spaces import at_random, encoded
from genbench.runner import data_access, load_run
from genbench.store import Store

SHARED = ("--set", "data.size=8", "--epochs", "2", "--batch-size", "240", "--device", "cpu")
QUIET = ("--metric", "fd_pixel", "--samples", "20", "--no-watch", "-q")
RUNS = {
    "plane": ("vae", "digits", *SHARED, "--set", "z_dim=2", "--set", "hidden=[8]"),
    "line": ("vae", "digits", *SHARED, "--set", "z_dim=1", "--set", "hidden=[8]"),
    "hybrid": ("vaegan", "digits", *SHARED, "--set", "vae_epochs=1", "--set", "vae_hidden=[8]"),
    "classes": ("cgan", "digits", *SHARED),
    "points": ("gan", "gaussians-8", "--epochs", "1", "--set", "data.train=200"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one short run of each kind of model, by its name."""
    folder = tmp_path_factory.mktemp("pictured")
    for name, words in RUNS.items():
        metric = () if name == "points" else QUIET
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert in_process("run", *words, *metric, "--name", name) == 0
    return folder / "runs.db"


@pytest.fixture
def genbench(genbench, store, monkeypatch):
    """The command line, called in an empty folder."""
    monkeypatch.setenv("GENBENCH_STORE", str(store))
    return genbench


@pytest.fixture
def loaded(store) -> Iterator:
    """A stored run's model and data."""
    from genbench.registry import Registry

    with Store.open(store, mode="read") as opened:
        access = data_access(None, {}, offline=True)
        yield lambda name: load_run(
            opened.resolve(name),
            registry=Registry.from_environment(),
            store=opened,
            access=access,
            device="cpu",
        )


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


PICTURES = [
    ("interpolate", "plane"),
    ("interpolate", "plane", "--between", "images"),
    ("interpolate", "hybrid", "--between", "images", "--path", "spherical"),
    ("interpolate", "plane", "--between", "classes", "--classes", "3,8", "--rows", "2"),
    ("interpolate", "classes", "--between", "classes"),
    ("interpolate", "classes", "--between", "classes", "--classes", "3,8"),
    ("interpolate", "classes", "--label", "4", "--rows", "2", "--path", "linear"),
    ("traverse", "plane", "--steps", "5"),
    ("traverse", "plane", "--scale", "quantiles", "--steps", "4"),
    ("traverse", "line"),
    ("traverse", "hybrid"),
    ("traverse", "hybrid", "--from", "image", "--dims", "0,3", "--range", "2"),
    ("traverse", "classes", "--steps", "3", "--label", "7"),
    ("latents", "plane"),
    ("latents", "line", "-n", "50"),
    ("latents", "hybrid"),
    ("reconstruct", "hybrid", "-n", "6"),
]


@pytest.mark.parametrize("words", PICTURES, ids=" ".join)
def test_a_picture_is_written_where_stdout_says_and_again_the_same(genbench, words) -> None:
    said = genbench(*words)
    assert said.code == 0, said.err
    [path] = said.out.splitlines()
    first = pixels(path)
    assert len(np.unique(first)) > 3
    again = json.loads(genbench(*words, "--json", "--out", "again.png").out)
    assert again["path"] == "again.png"
    assert np.array_equal(first, pixels("again.png"))


def test_an_interpolation_between_images_is_framed_by_them_and_starts_at_its_reconstruction(
    genbench, loaded
) -> None:
    genbench("interpolate", "plane", "--between", "images", "--rows", "1", "--out", "i.png")
    run = loaded("plane")
    first, last = at_random(run.data, 2, 0)
    sheet = pixels("i.png")
    side, edge = 56, 8
    row = sheet[-edge - side : -edge : 7]
    assert np.array_equal(row[:, edge : edge + side : 7], run.data.test.x[first, 0])
    right = sheet.shape[1] - edge - side
    assert np.array_equal(row[:, right::7][:, :8], run.data.test.x[last, 0])
    code, _, _ = encoded(run.model, run.data, np.array([first]), run.device)
    with torch.no_grad():
        rebuilt = ((run.model.decode(code)[0, 0] + 1) * 127.5).round().numpy()
    second = edge + side + 2 + 12
    assert np.array_equal(row[:, second : second + side : 7], rebuilt)


def test_codes_come_as_arrays_that_belong_to_the_test_split(genbench, loaded) -> None:
    assert genbench("latents", "plane", "--out", "codes.npz", "-n", "40").code == 0
    run = loaded("plane")
    with np.load("codes.npz") as arrays:
        codes, logvars, labels, index = (
            arrays[name] for name in ("codes", "logvars", "labels", "index")
        )
    assert codes.shape == logvars.shape == (40, 2)
    assert np.array_equal(labels, run.data.test.y[index])
    mean, logvar, _ = encoded(run.model, run.data, index, run.device)
    assert np.allclose(codes, mean, atol=1e-6)
    assert np.allclose(logvars, logvar, atol=1e-6)


def test_curves_hold_training_and_validation_by_term_and_read_the_store_alone(store, tmp_path):
    script = "import sys; from genbench.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    script += "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    command = [sys.executable, "-c", script, "curves", "plane", "classes"]
    done = subprocess.run(
        [*command, "--store", str(store), "--out", "c.svg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "c.svg\n"), done.stderr
    text = (tmp_path / "c.svg").read_text()
    words = ["".join(element.itertext()) for element in ElementTree.fromstring(text).iter()]
    with Store.open(store, mode="read") as opened:
        for name, model in (("plane", "vae"), ("classes", "cgan")):
            caption = f"{name}: {model} on digits, run {opened.resolve(name)}, epochs 1 to 2"
            assert caption in words
    assert {"loss", "kl", "reconstruction"} <= set(words)
    assert {"training", "validation", "d", "g"} <= set(words)


def test_runs_together_have_one_curve_each_by_name(store, genbench, tmp_path):
    out = tmp_path / "t.svg"
    words = ("--together", "--term", "reconstruction", "--term", "seconds", "--out", str(out))
    assert genbench("curves", "plane", "line", *words).code == 0
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(out.read_text()).iter()]
    assert {"plane", "line", "reconstruction", "seconds"} <= set(texts)
    assert "training" not in texts


REFUSED = [
    (
        ("interpolate", "classes", "--between", "images"),
        "a model that encodes. Use --between samples",
    ),
    (
        ("interpolate", "points"),
        "can't be shown as images. To draw all points in one plot: genbench sample",
    ),
    (("traverse", "points"), "can't be shown as images"),
    (("latents", "classes"), "is not a model that encodes"),
    (("reconstruct", "classes"), "is not a model that reconstructs"),
    (("interpolate", "plane", "--label", "3"), "is not conditional"),
    (("interpolate", "classes", "--label", "12"), "'digits' has the classes 0 to 9"),
    (("interpolate", "plane", "--classes", "3,8"), "needs --between classes"),
    (("interpolate", "plane", "--between", "classes", "--classes", "3"), "expected two classes"),
    (("traverse", "hybrid", "--dims", "0,99"), "--dims 99: this latent has the dimensions 0 to 9"),
    (("traverse", "plane", "--dims", "x"), "expected whole numbers with commas"),
    (("traverse", "plane", "--from", "image"), "name dimensions with --dims"),
    (("traverse", "classes", "--scale", "codes"), "Use --scale linear or quantiles"),
    (("traverse", "plane", "--scale", "quantiles", "--range", "2"), "leave --range out"),
    (("latents", "plane", "--out", "codes.txt"), "in .png or .npz"),
    (("curves", "plane", "--term", "reconstructoin"), "did you mean 'reconstruction'"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=lambda value: str(value))
def test_what_makes_no_picture_is_refused_in_one_sentence(genbench, words, sentence) -> None:
    said = genbench(*words)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
    assert not list(Path.cwd().iterdir())


def test_a_range_that_is_not_finite_is_refused(genbench) -> None:
    said = genbench("traverse", "plane", "--range", "inf")
    assert (said.code, said.out) == (2, "")
    assert "less than or equal to" in said.err


def test_a_run_with_a_small_latent_keeps_a_picture_of_all_of_it(store) -> None:
    with Store.open(store, mode="read") as opened:
        for name, kept in (("plane", True), ("line", True), ("hybrid", False), ("classes", False)):
            kinds = {artifact.kind for artifact in opened.artifacts(opened.resolve(name))}
            assert ("traversal" in kinds) == kept
        folder = opened.folder(opened.resolve("plane"))
    assert len(np.unique(pixels(folder / "traversal.png"))) > 3
