from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from genbench import DataError
from genbench_data.image_settings import FashionMnistSettings, MnistSettings
from genbench_data.torchvision_sets import FashionMnist, Mnist


def load(access, **settings):
    return Mnist(MnistSettings(**settings)).load(access)


def test_files_are_read_as_torchvision_reads_them(access, mnist_like):
    from torchvision.datasets import MNIST

    mnist_like(access.root)
    data, theirs = load(access), MNIST(access.root, train=True)
    assert np.array_equal(data.train.x[:, 0], theirs.data.numpy())
    assert np.array_equal(data.train.y, theirs.targets.numpy())
    assert data.train.x.shape == (40, 1, 28, 28)
    assert (data.spec.train, data.spec.test) == (40, 12)


def test_gzipped_files_are_enough_and_hold_the_same(access, mnist_like, tmp_path):
    mnist_like(access.root)
    mnist_like(tmp_path / "packed", gz=True)
    plain = load(access)
    packed = load(type(access)(root=tmp_path / "packed", cache=access.cache, offline=True))
    assert np.array_equal(plain.train.x, packed.train.x)
    assert plain.train.digest == packed.train.digest


def test_a_limit_keeps_the_first_training_images_and_has_its_own_digest(access, mnist_like):
    mnist_like(access.root)
    whole, few = load(access), load(access, limit=5)
    assert np.array_equal(few.train.x, whole.train.x[:5])
    assert np.array_equal(few.train.y, whole.train.y[:5])
    assert few.train.digest != whole.train.digest
    assert few.test.digest == whole.test.digest
    assert (few.spec.train, few.spec.test) == (5, 12)
    assert load(access, limit=1000).train.digest == whole.train.digest


def test_another_size_is_resized_and_has_its_own_entry(access, mnist_like):
    mnist_like(access.root)
    assert load(access, size=32).train.x.shape == (40, 1, 32, 32)
    assert load(access).train.x.shape == (40, 1, 28, 28)


def test_progress_is_told_in_images(access, mnist_like):
    mnist_like(access.root)
    told = []
    listening = type(access)(
        root=access.root, cache=access.cache, progress=lambda *call: told.append(call)
    )
    load(listening)
    assert told[-1] == ("decoding mnist", 52, 52)


@pytest.mark.parametrize(
    ("settings", "first", "last"),
    [(MnistSettings, "0", "9"), (FashionMnistSettings, "T-shirt/top", "Ankle boot")],
)
def test_the_description_is_known_without_any_file(access, settings, first, last):
    spec = settings(limit=70_000).describe(access)
    assert (spec.train, spec.test, spec.classes, spec.shape) == (60_000, 10_000, 10, (1, 28, 28))
    assert (spec.class_names[0], spec.class_names[9]) == (first, last)
    assert not access.root.exists()


def test_offline_and_absent_says_what_is_missing_where_it_goes_and_what_needs_none(access):
    with pytest.raises(DataError) as error:
        FashionMnist(FashionMnistSettings()).load(access)
    message = str(error.value)
    assert "fashion-mnist is missing and downloads are forbidden" in message
    assert str(access.root / "FashionMNIST" / "raw") in message
    assert "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte" in message
    assert "'digits' needs no download" in message
    assert "\n" not in message


def test_only_the_files_that_are_missing_are_named(access, mnist_like):
    raw = mnist_like(access.root)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"put t10k-labels-idx1-ubyte \(or each as \.gz\) into"):
        load(access)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-100], r"expected 31,376 bytes, found 31,276"),
        (lambda content: content + b"x", r"expected 31,376 bytes, found 31,377"),
        (
            lambda content: b"\0\0\x08\x01" + content[4:],
            r"begins with 00 00 08 01, not 00 00 08 03",
        ),
        (lambda content: content[:9], r"expected 16 bytes of header, found 9"),
        (lambda content: b"", r"begins with nothing"),
    ],
)
def test_a_corrupt_file_is_named_with_what_was_found_and_the_fix(
    access, mnist_like, spoil, message
):
    file = mnist_like(access.root) / "train-images-idx3-ubyte"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError, match=message) as error:
        load(access)
    assert f"{file} is corrupt" in str(error.value)
    assert "delete it to download it again" in str(error.value)
    assert not list((access.cache / "data").glob("mnist*.part"))


def test_a_truncated_archive_is_named(access, mnist_like):
    file = mnist_like(access.root, gz=True) / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is corrupt \(its 500 bytes"):
        load(access)


def test_something_else_than_gzip_is_named(access, mnist_like):
    file = mnist_like(access.root, gz=True) / "train-labels-idx1-ubyte.gz"
    file.write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is corrupt"):
        load(access)


def test_images_and_labels_must_be_equally_many(access, mnist_like, idx_bytes):
    raw = mnist_like(access.root)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(39)))
    with pytest.raises(DataError, match=r"40 images but .* 39 labels"):
        load(access)


@pytest.mark.parametrize("images", [np.zeros((40, 27, 28)), np.zeros((0, 28, 28))])
def test_images_of_another_shape_are_refused(access, mnist_like, idx_bytes, images):
    raw = mnist_like(access.root)
    (raw / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(len(images))))
    with pytest.raises(DataError, match=r"not \(N, 28, 28\)"):
        load(access)


def test_a_label_above_9_is_refused(access, mnist_like, idx_bytes):
    raw = mnist_like(access.root)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.full(40, 200)))
    with pytest.raises(DataError, match="has the label 200"):
        load(access)


def test_changed_files_are_decoded_anew(access, mnist_like, idx_bytes):
    raw = mnist_like(access.root)
    before = load(access)
    (raw / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.full((40, 28, 28), 9)))
    after = load(access)
    assert (after.train.x == 9).all()
    assert after.train.digest != before.train.digest


MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("dataset", "settings", "train", "test"),
    [
        (Mnist, MnistSettings(), MNIST_TRAIN, MNIST_TEST),
        (FashionMnist, FashionMnistSettings(), [6000] * 10, [1000] * 10),
    ],
)
def test_the_real_sets_have_their_published_sizes(real_access, dataset, settings, train, test):
    data = dataset(settings).load(real_access)
    assert data.spec == settings.describe(real_access)
    assert data.train.x.shape == (60_000, 1, 28, 28)
    assert np.bincount(data.train.y).tolist() == train
    assert np.bincount(data.test.y).tolist() == test


def test_real_archives_hold_what_the_unpacked_files_hold(real_access, tmp_path):
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (real_access.root / "MNIST" / "raw").glob("*-ubyte"):
        (raw / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), compresslevel=1))
    packed = type(real_access)(root=tmp_path / "root", cache=real_access.cache, offline=True)
    assert load(packed).train.digest == load(real_access).train.digest


def test_an_entry_says_what_it_holds(access, mnist_like):
    mnist_like(access.root)
    data = load(access)
    (entry,) = (access.cache / "data").glob("mnist-*/entry.json")
    files = {
        file.name: [file.stat().st_size, file.stat().st_mtime_ns]
        for file in entry.parent.glob("train-*.npy")
    }
    assert json.loads(entry.read_text())["train"] == {
        "files": files,
        "shape": [40, 1, 28, 28],
        "labels": True,
        "dtype": "uint8",
        "digest": data.train.digest,
    }
