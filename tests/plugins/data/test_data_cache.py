from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench import DataAccess, DataError
from genbench_data import split_cache as cache
from genbench_data.split_cache import Decoding, digest, splits

TRAIN = np.arange(5 * 3 * 4 * 4, dtype=np.uint8).reshape(5, 3, 4, 4)
TEST = TRAIN[:2] + 1
LABELS = np.array([0, 1, 2, 0, 1])


class Decoder:
    """Gives the same two splits each time and counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        train = Decoding(shape=TRAIN.shape, chunks=[TRAIN[:3], TRAIN[3:]], labels=LABELS)
        return train, Decoding(shape=TEST.shape, chunks=[TEST], labels=None)


@pytest.fixture
def decoder():
    return Decoder()


def load(access, decoder, content="content", **settings):
    return splits(access, decoder, what="set", content=content, **settings)


def entry(access):
    (folder,) = (path for path in (access.cache / "data").iterdir() if path.is_dir())
    return folder


def test_what_was_decoded_comes_back_as_a_read_only_memory_map(access, decoder):
    for _ in range(2):
        train, test = load(access, decoder)
        assert isinstance(train.x, np.memmap)
        assert not train.x.flags.writeable
        assert np.array_equal(train.x, TRAIN)
        assert np.array_equal(train.y, LABELS)
        assert np.array_equal(test.x, TEST)
        assert test.y is None
    assert decoder.asked == 1


def test_the_digest_names_the_content_and_nothing_else(access, decoder):
    train, test = load(access, decoder)
    assert train.digest == digest(TRAIN, LABELS)
    assert test.digest == digest(TEST, None)
    assert digest(TRAIN, LABELS) != digest(TRAIN, LABELS[::-1])
    assert digest(TRAIN, None) != digest(TRAIN.reshape(5, 3, 2, 8), None)
    assert load(access, decoder, size=9)[0].digest == train.digest


def test_other_content_or_settings_have_another_entry(access, decoder):
    load(access, decoder)
    load(access, decoder, content="other")
    load(access, decoder, size=64)
    assert decoder.asked == 3


@pytest.mark.parametrize("name", ["train-x.npy", "train-y.npy", "test-x.npy", "entry.json"])
@pytest.mark.parametrize("keep", [None, 0, 50, -1])
def test_an_entry_that_is_cut_short_is_made_again(access, decoder, name, keep):
    load(access, decoder)
    file = entry(access) / name
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:keep])
    train, test = load(access, decoder)
    assert decoder.asked == 2
    assert np.array_equal(train.x, TRAIN)
    assert np.array_equal(test.x, TEST)
    assert np.array_equal(train.y, LABELS)


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """Whether the splits count as small, which are read in full at each load."""
    monkeypatch.setattr(cache, "SMALL", cache.SMALL if request.param == "small" else 0)
    return request.param


def flip(file, place=-1):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["train-x.npy", "train-y.npy", "test-x.npy"])
def test_a_flipped_byte_is_noticed_and_made_good_with_one_warning(
    access, decoder, caplog, size, name
):
    load(access, decoder)
    assert not caplog.records
    flip(entry(access) / name)
    train, test = load(access, decoder)
    assert decoder.asked == 2
    assert np.array_equal(train.x, TRAIN)
    assert np.array_equal(train.y, LABELS)
    assert np.array_equal(test.x, TEST)
    [record] = caplog.records
    split = name.partition("-")[0]
    assert record.getMessage().endswith(
        f"is damaged (the {split} split has changed since it was written); decoding it again"
    )
    load(access, decoder)
    assert len(caplog.records) == 1


def test_a_flipped_byte_under_an_old_time_is_noticed_in_a_small_set(access, decoder):
    load(access, decoder)
    file = entry(access) / "train-x.npy"
    before = file.stat()
    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert np.array_equal(load(access, decoder)[0].x, TRAIN)


def test_labels_of_another_number_are_noticed(access, decoder, size, caplog):
    load(access, decoder)
    np.save(entry(access) / "train-y.npy", LABELS[:3])
    assert np.array_equal(load(access, decoder)[0].y, LABELS)
    assert "train-y.npy is int64 (3,), not int64 (5,)" in caplog.text


def test_a_copied_cache_is_verified_once_and_not_decoded_again(access, decoder, size, monkeypatch):
    load(access, decoder)
    for file in entry(access).glob("*.npy"):
        os.utime(file, (1, 1))
    verified = []
    verify = cache._verify
    monkeypatch.setattr(cache, "_verify", lambda *given: verified.append(verify(*given)))
    load(access, decoder)
    assert len(verified) == 2
    load(access, decoder)
    assert len(verified) == (2 if size == "large" else 4)
    assert decoder.asked == 1


def test_doctor_reads_all_of_it_where_it_is_asked_to(genbench, decoder, tmp_path, monkeypatch):
    access = DataAccess(root=tmp_path, cache=tmp_path / "cache")
    monkeypatch.setenv("GENBENCH_CACHE", str(access.cache))
    load(access, decoder)
    code, said = genbench("doctor --data")
    assert (code, "verified" in said) == (0, True)
    file = entry(access) / "train-x.npy"
    before = file.stat()
    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert genbench("doctor")[0] == 0
    code, said = genbench("doctor --data")
    assert code == 2
    assert "is damaged (the train split has changed since it was written); delete it" in " ".join(
        said.split()
    )


def test_an_entry_of_another_shape_is_made_again(access, decoder):
    load(access, decoder)
    np.save(entry(access) / "train-x.npy", TRAIN[:4])
    assert np.array_equal(load(access, decoder)[0].x, TRAIN)


@pytest.mark.parametrize("damage", [b"[", b"{", b'"', b"\x00", b"9"])
def test_an_entry_with_a_header_that_is_no_text_of_numpys_is_made_again(access, decoder, damage):
    load(access, decoder)
    file = entry(access) / "train-y.npy"
    whole = file.read_bytes()
    for place in range(8, 80, 3):
        file.write_bytes(whole[:place] + damage + whole[place + 1 :])
        train, _ = load(access, decoder)
        assert np.array_equal(train.y, LABELS)


def test_pickled_labels_are_never_loaded(access, decoder):
    load(access, decoder)
    np.save(entry(access) / "train-y.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert np.array_equal(load(access, decoder)[0].y, LABELS)
    assert decoder.asked == 2


def test_a_map_stays_readable_while_its_entry_is_made_again(access, decoder):
    train, _ = load(access, decoder)
    (entry(access) / "entry.json").unlink()
    load(access, decoder)
    assert np.array_equal(train.x, TRAIN)


def test_a_full_disk_names_the_folder_and_the_variable_and_leaves_nothing(access):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def chunks():
        yield TRAIN[:3]
        with full.open("wb", buffering=0) as file:
            file.write(b"x")

    def decode():
        split = Decoding(shape=TRAIN.shape, chunks=chunks(), labels=None)
        return split, split

    with pytest.raises(DataError, match="no space is left; free some space, or set") as error:
        load(access, decode)
    assert str(access.cache / "data") in str(error.value)
    assert "GENBENCH_CACHE" in str(error.value)
    assert not any(path.is_dir() for path in (access.cache / "data").iterdir())


def test_a_cache_that_cant_be_written_is_named(access, decoder):
    access.cache.write_text("a file where the folder belongs")
    with pytest.raises(DataError, match=r"can't write to the cache folder .*GENBENCH_CACHE"):
        load(access, decoder)


def test_an_error_while_decoding_is_passed_on_and_leaves_nothing(access, decoder):
    def decode():
        raise DataError("a.png can't be decoded")

    with pytest.raises(DataError, match=r"a\.png"):
        load(access, decode)
    load(access, decoder)
    assert decoder.asked == 1


def test_too_few_images_are_never_taken_for_a_whole_set(access):
    def decode():
        split = Decoding(shape=TRAIN.shape, chunks=[TRAIN[:3]], labels=None)
        return split, split

    with pytest.raises(DataError, match="can't be read; delete this folder"):
        load(access, decode)


# --- several processes

CODE = """
import os, signal, sys
from pathlib import Path
from genbench import DataAccess
from genbench_data.image_folder import ImageFolder
from genbench_data.image_settings import ImageFolderSettings

told = set()
def progress(what, done, total):
    told.add(what)
    if sys.argv[2:] == ["die"] and what.startswith("decoding"):
        os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
access = DataAccess(root=root, cache=root / "cache", offline=True, progress=progress)
data = ImageFolder(ImageFolderSettings(path="pictures", size=16)).load(access)
print(data.train.digest, int(data.train.x.sum()), "decoding image-folder" in told)
"""


@pytest.fixture
def pictures(tmp_path):
    random = np.random.RandomState(1)
    (tmp_path / "pictures").mkdir()
    for k in range(300):
        pixels = random.randint(0, 256, (24, 24, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{k}.png")
    return tmp_path


def start(*arguments):
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_eight_processes_one_decodes_and_all_read_the_same(pictures):
    processes = [start(pictures) for _ in range(8)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in answers] == [""] * 8
    digests, sums, decoded = zip(*(out.split() for out, _ in answers), strict=True)
    assert len(set(digests)) == len(set(sums)) == 1
    assert decoded.count("True") == 1
    assert not list((pictures / "cache" / "data").glob("*.part"))


def test_a_process_killed_while_decoding_leaves_nothing_in_the_way(pictures):
    killed = start(pictures, "die")
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    assert list((pictures / "cache" / "data").glob("*.part"))
    out, error = start(pictures).communicate(timeout=120)
    assert error == ""
    assert out.split()[2] == "True"
    assert not list((pictures / "cache" / "data").glob("*.part"))
