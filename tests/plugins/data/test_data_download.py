"""Real downloads, from a server on the loopback interface."""

from __future__ import annotations

import gzip
import hashlib
import http.server
from dataclasses import replace

import pytest
from torchvision import datasets

from genbench import DataError
from genbench_data.image_settings import MnistSettings
from genbench_data.torchvision_sets import FILES, Mnist


class Cut(http.server.SimpleHTTPRequestHandler):
    """Promises the whole file and hangs up after 100 bytes."""

    def log_message(self, *arguments):
        pass

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(100))


@pytest.fixture
def mirror(tmp_path, mnist_like, monkeypatch):
    """Archives as a mirror holds them, with their MD5 sums where torchvision lists them."""
    raw = mnist_like(tmp_path / "packed", gz=True)
    folder = tmp_path / "mirror" / "MNIST" / "raw"
    folder.parent.mkdir(parents=True)
    raw.rename(folder)
    sums = [(f"{n}.gz", hashlib.md5((folder / f"{n}.gz").read_bytes()).hexdigest()) for n in FILES]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    return folder


def load(access):
    return Mnist(MnistSettings()).load(replace(access, offline=False))


def test_absent_files_are_downloaded_with_progress_and_read(access, mirror, serve):
    serve()
    told = []
    data = load(replace(access, progress=lambda *call: told.append(call)))
    assert data.train.x.shape == (40, 1, 28, 28)
    raw = access.root / "MNIST" / "raw"
    assert sorted(file.name for file in raw.iterdir()) == sorted(f"{name}.gz" for name in FILES)
    size = (raw / "train-images-idx3-ubyte.gz").stat().st_size
    assert ("downloading train-images-idx3-ubyte.gz", size, size) in told


def test_only_absent_files_are_downloaded(access, mirror, serve):
    raw = access.root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES[1:]:
        (raw / name).write_bytes(gzip.decompress((mirror / f"{name}.gz").read_bytes()))
        (mirror / f"{name}.gz").unlink()
    serve()
    assert len(load(access).train.x) == 40


def test_torchvision_takes_over_what_was_downloaded(access, mirror, serve):
    serve()
    data = load(access)
    theirs = datasets.MNIST(access.root, train=False, download=True)
    assert (theirs.data.numpy() == data.test.x[:, 0]).all()


def test_a_file_with_another_md5_is_refused_and_not_kept(access, mirror, serve):
    expected = dict(datasets.MNIST.resources)["train-images-idx3-ubyte.gz"]
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    found = hashlib.md5(b"something else").hexdigest()
    serve()
    with pytest.raises(DataError, match=f"expected MD5 {expected}, found {found}"):
        load(access)
    assert list((access.root / "MNIST" / "raw").iterdir()) == []


def test_a_connection_that_ends_early_leaves_nothing(access, mirror, serve):
    serve(Cut)
    with pytest.raises(DataError, match=r"the connection ended after 100 of [\d,]+ bytes"):
        load(access)
    assert list((access.root / "MNIST" / "raw").iterdir()) == []


def test_a_mirror_without_the_file_is_named(access, mirror, serve):
    (mirror / "t10k-images-idx3-ubyte.gz").unlink()
    serve()
    with pytest.raises(DataError, match="404") as error:
        load(access)
    assert "/MNIST/raw/t10k-images-idx3-ubyte.gz" in str(error.value)


def test_without_a_network_the_message_says_where_the_files_go(access, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("GENBENCH_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="refused") as error:
        load(access)
    assert f"into {access.root / 'MNIST' / 'raw'}" in str(error.value)
    assert "'digits' needs no download" in str(error.value)


def test_the_next_mirror_is_asked_where_one_fails(access, mirror, serve, monkeypatch):
    import os

    serve()
    good = f"{os.environ['GENBENCH_MIRROR']}MNIST/raw/"
    monkeypatch.delenv("GENBENCH_MIRROR")
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", good])
    assert len(load(access).train.x) == 40


def test_a_data_directory_that_cant_be_written_is_named(access, mirror, serve):
    serve()
    access.root.mkdir()
    (access.root / "MNIST").write_text("a file where the folder belongs")
    with pytest.raises(DataError, match=r"can't write train-images-idx3-ubyte\.gz to .*--data-dir"):
        load(access)
