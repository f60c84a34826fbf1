from __future__ import annotations

import subprocess
import sys

import numpy as np

from genbench_data.digits import Digits
from genbench_data.image_settings import DigitsSettings


def load(access, **settings):
    return Digits(DigitsSettings(**settings)).load(access)


def test_digits_are_1797_real_images_in_two_parts_as_described(access):
    data = load(access)
    assert data.spec == DigitsSettings().describe(access)
    assert data.train.x.shape == (1437, 1, 28, 28)
    assert data.test.x.shape == (360, 1, 28, 28)
    assert data.train.x.dtype == np.uint8
    assert data.train.y.dtype == np.int64
    assert data.train.x.min() == 0
    assert data.train.x.max() == 255


def test_both_parts_are_balanced_to_one_image_a_class(access):
    data = load(access)
    everything = np.bincount(data.train.y) + np.bincount(data.test.y)
    assert everything.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(np.bincount(data.test.y) - everything * 360 / 1797).max() < 1


def test_size_8_gives_the_pixels_of_scikit_learn_and_every_image_once(access):
    from sklearn.datasets import load_digits

    data = load(access, size=8)
    ours = np.concatenate([data.train.x, data.test.x])[:, 0]
    theirs = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


def test_resized_digits_look_like_the_small_ones(access):
    small = load(access, size=8).train.x.astype(float).reshape(1437, -1)
    blocks = load(access, size=32).train.x.reshape(1437, 8, 4, 8, 4)
    large = blocks.astype(float).mean(axis=(2, 4)).reshape(1437, -1)
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, large, strict=True)]
    assert min(alike) > 0.95


def test_the_split_is_fixed_for_ever(access):
    assert load(access, size=8).train.digest == "9e5d966bac299a4136917354d722cded"
    assert load(access, size=8).test.digest == "8e523a779d4eae0688712e8192866eb2"


def test_a_second_load_needs_no_scikit_learn(access):
    load(access)
    code = f"""
import sys
from pathlib import Path
from genbench import DataAccess
from genbench_data.digits import Digits
from genbench_data.image_settings import DigitsSettings
Digits(DigitsSettings()).load(DataAccess(root=Path(), cache=Path({str(access.cache)!r})))
sys.exit("sklearn" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_describing_any_set_imports_neither_numpy_nor_torch(tmp_path):
    code = """
import sys
from pathlib import Path
from genbench import DataAccess
from genbench_data import image_settings as settings
access = DataAccess(root=Path("data"), cache=Path("cache"))
assert settings.DigitsSettings().describe(access).train == 1437
assert settings.MnistSettings().describe(access).train == 60000
assert settings.FashionMnistSettings(limit=100).describe(access).train == 100
assert settings.ImageFolderSettings(path="pictures").describe(access).train == 1
sys.exit(", ".join({"numpy", "torch", "PIL", "sklearn", "torchvision"} & set(sys.modules)) or None)
"""
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "pictures" / name).touch()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
