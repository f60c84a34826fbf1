"""The law of exported samples: the `fidelity` command finds the stored scores in the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genbench.store import Store

KEYS = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "is": "inception_score_mean",
    "precision": "precision",
    "recall": "recall",
}
SIZE = 6


@pytest.fixture
def genbench(genbench: Any) -> Any:
    """The command line, called in an empty folder; it must end well."""

    def call(*arguments: str) -> None:
        assert genbench(*arguments).code == 0

    return call


def _pictures(folder: Path) -> list[Path]:
    """Twice `SIZE` grey pictures of ramps, each of its own slope."""
    folder.mkdir()
    paths = []
    for number in range(2 * SIZE):
        ramp = np.add.outer(np.arange(16) * number, np.arange(16) * (2 * SIZE - number))
        paths.append(folder / f"{number:02d}.png")
        Image.fromarray((ramp % 256).astype(np.uint8)).save(paths[-1])
    return paths


@pytest.mark.slow
def test_an_exported_folder_of_grey_pngs_has_the_stored_scores_for_the_fidelity_command(
    genbench: Any, tmp_path: Path, weights: Path
) -> None:
    _pictures(tmp_path / "ramps")
    asked = [part for name in KEYS for part in ("--metric", name)]
    given = [f"metric.{name}.weights={weights}" for name in KEYS]
    given += [f"metric.{name}.extractor=inception" for name in KEYS if name != "fid"]
    given += ["metric.is.splits=2", "data.path=ramps", "data.size=16", "data.channels=1"]
    given += ["data.test_share=0.5", "hidden=[8]"]
    sets = [part for one in given for part in ("--set", one)]
    run = ("run", "vae", "image-folder", "--epochs", "1", "--batch-size", "2", "--device", "cpu")
    genbench(*run, "--samples", str(SIZE), *asked, *sets)
    genbench("sample", "@1", "-n", str(SIZE), "--as-scored", "--out", "samples/")

    with Store.open(tmp_path / "runs.db", mode="read") as store:
        scores = {score.metric: score for score in store.scores(store.run("@1").id)}
    reference = _test_split(tmp_path)
    theirs = _fidelity(
        tmp_path / "samples", reference, weights, size=len(list(reference.iterdir()))
    )
    assert set(scores) >= set(KEYS)
    for name, key in KEYS.items():
        assert scores[name].n == SIZE
        assert scores[name].value == pytest.approx(theirs[key], rel=1e-5), name


def _test_split(folder: Path) -> Path:
    """The pictures that the run held out, in a folder of their own and in its order."""
    from genbench import DataAccess
    from genbench_data.image_settings import ImageFolderSettings

    access = DataAccess(root=folder, cache=folder, offline=True)
    settings = ImageFolderSettings(path="ramps", size=16, channels=1, test_share=0.5)
    out = folder / "test"
    out.mkdir()
    for place, name in enumerate(settings.listed(access).test):
        (out / f"{place:02d}.png").write_bytes((folder / "ramps" / name).read_bytes())
    return out


def _fidelity(samples: Path, reference: Path, weights: Path, *, size: int) -> dict[str, float]:
    asked = ["--isc", "--fid", "--kid", "--prc", "--isc-splits", "2"]
    asked += ["--kid-subset-size", str(min(size, SIZE)), "--batch-size", str(SIZE)]
    folders = ["--input1", str(samples), "--input2", str(reference)]
    given = ["--feature-extractor", "inception-v3-compat"]
    given += ["--feature-extractor-weights-path", str(weights)]
    plain = ["--cpu", "--no-cache", "--save-cpu-ram", "--silent", "--json"]
    said = subprocess.run(
        [str(Path(sys.executable).with_name("fidelity")), *folders, *asked, *given, *plain],
        check=True,
        capture_output=True,
        text=True,
        cwd=samples.parent,
    )
    found: dict[str, float] = json.loads(said.stdout)
    return found
