"""imagenette on small pictures in torchvision's layout: splits, labels, crop, download, errors."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torchvision.transforms as transforms
from PIL import Image
from torchvision import datasets

from genbench import DataError
from genbench.testing import check_dataset
from genbench_data import imagenette_settings
from genbench_data.imagenette import Imagenette
from genbench_data.imagenette_settings import CLASSES, FOLDERS, MD5, URL, ImagenetteSettings

TENCH, SPRINGER, PLAYER, *_, CHUTE = CLASSES


def load(access, **settings):
    return Imagenette(ImagenetteSettings(**settings)).load(access)


def picture(place, k=0, *, size=(213, 160), mode="RGB"):
    """The k-th picture of a class, by its colour, with a red square of 40 in the middle."""
    image = Image.new("RGB", size, (10 * place, 80 * k, 255))
    left, top = (size[0] - 40) // 2, (size[1] - 40) // 2
    image.paste((255, 0, 0), (left, top, left + 40, top + 40))
    return image.convert(mode)


@pytest.fixture
def imagenette():
    """Write a version below a root: of each class 3 images for training and 2 for testing."""

    def write(root, folder="imagenette2-160", **options):
        for part, n in (("train", 3), ("val", 2)):
            for place, wnid in enumerate(CLASSES):
                here = root / folder / part / wnid
                here.mkdir(parents=True)
                for k in range(n):
                    picture(place, k, **options).save(here / f"{wnid}_{k}.JPEG", quality=95)
        return root / folder

    return write


@pytest.fixture
def mirror(tmp_path, imagenette, monkeypatch):
    """The archive of the 160 px version as a mirror holds it, with its MD5 as the known one."""
    folder = imagenette(tmp_path / "packed")
    archive = tmp_path / "mirror" / "imagenette2-160.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "imagenette2-160")
    publish(monkeypatch, archive)
    return archive


def publish(monkeypatch, archive):
    """Take the MD5 of an archive for the published one."""
    known = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(imagenette_settings.MD5, "160px", known)


def test_addresses_sums_and_classes_are_torchvisions():
    theirs = datasets.Imagenette
    assert {wnid: names[0] for wnid, names in theirs._WNID_TO_CLASS.items()} == CLASSES
    assert list(CLASSES) == sorted(CLASSES)
    assert {
        version: (f"{URL}{folder}.tgz", MD5[version]) for version, folder in FOLDERS.items()
    } == theirs._ARCHIVES


def test_it_keeps_the_contract_of_data_sets(access, imagenette):
    imagenette(access.root)
    check_dataset("imagenette", ImagenetteSettings(size=16), access=access)


def test_images_and_labels_are_those_of_torchvision(access, imagenette):
    imagenette(access.root)
    data = load(access)
    assert data.spec.class_names[:2] == ("tench", "English springer")
    for split, part in ((data.train, "train"), (data.test, "val")):
        theirs = datasets.Imagenette(access.root, split=part, size="160px")
        crop, each = transforms.CenterCrop(160), len(theirs) // 10
        for place, (x, y) in enumerate(zip(split.x, split.y, strict=True)):
            image, label = theirs[place % 10 * each + place // 10]  # theirs go class by class
            assert y == label
            assert np.array_equal(x.transpose(1, 2, 0), np.asarray(crop(image)))


def test_val_is_the_test_split_and_any_beginning_holds_all_classes(access, imagenette):
    imagenette(access.root)
    data = load(access, size=32)
    assert (data.train.x.shape, data.test.x.shape) == ((30, 3, 32, 32), (20, 3, 32, 32))
    assert data.train.y.tolist() == [*range(10)] * 3
    assert data.test.y.tolist() == [*range(10)] * 2
    assert data.spec == ImagenetteSettings(size=32).describe(access)
    few = load(access, size=32, limit=10)
    assert few.train.y.tolist() == [*range(10)]
    assert (few.spec.train, few.spec.test) == (10, 20)
    assert few.train.digest != data.train.digest
    assert few.test.digest == data.test.digest


@pytest.mark.parametrize("size", [(213, 160), (160, 301), (160, 160), (90, 70)])
def test_the_middle_of_the_picture_lands_in_the_middle(access, imagenette, size):
    imagenette(access.root, size=size)
    x = load(access, size=64).train.x[0].astype(int)
    red = (x[0] > 128) & (x[2] < 128)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    side = 64 * 40 / min(size)
    for found in (rows, columns):
        assert found[0] == pytest.approx(32 - side / 2, abs=1.2)
        assert found[-1] + 1 == pytest.approx(32 + side / 2, abs=1.2)


def test_grey_and_cmyk_pictures_become_coloured_ones(access, imagenette):
    folder = imagenette(access.root)
    grey = folder / "train" / TENCH / f"{TENCH}_0.JPEG"
    picture(0, mode="L").save(grey)
    picture(1, mode="CMYK").save(folder / "train" / SPRINGER / f"{SPRINGER}_0.JPEG")
    x = load(access, size=32).train.x
    assert np.array_equal(x[0, 0], x[0, 2])
    assert x[1, 2, 2, 2] > 200 > x[1, 0, 2, 2]


def test_hidden_files_and_other_folders_are_left_out(access, imagenette):
    folder = imagenette(access.root)
    (folder / "train" / TENCH / "._a.JPEG").write_bytes(b"no image")
    (folder / "train" / TENCH / "notes.txt").write_text("no image")
    (folder / "noisy_imagenette.csv").write_text("no image")
    assert len(load(access, size=8).train.x) == 30


def test_a_corrupt_picture_is_named_with_the_fix(access, imagenette):
    folder = imagenette(access.root)
    spoilt = folder / "val" / CHUTE / f"{CHUTE}_1.JPEG"
    spoilt.write_bytes(spoilt.read_bytes()[:300])
    with pytest.raises(DataError, match=f"delete {folder} to download it again") as error:
        load(access)
    assert f"{spoilt} can't be decoded" in str(error.value)
    assert not list((access.cache / "data").glob("imagenette*.part"))


def test_a_class_without_pictures_is_named(access, imagenette):
    folder = imagenette(access.root)
    for file in (folder / "train" / PLAYER).iterdir():
        file.unlink()
    with pytest.raises(DataError, match=rf"{PLAYER} \(cassette player\) .*no \.JPEG file in it"):
        load(access)
    (folder / "train" / PLAYER).rmdir()
    with pytest.raises(DataError, match=rf"{PLAYER} \(cassette player\) .*No such file"):
        ImagenetteSettings().describe(access)


def test_the_description_is_known_without_any_file_and_without_numpy(access):
    spec = ImagenetteSettings(size=64, limit=100).describe(access)
    assert (spec.train, spec.test, spec.classes, spec.shape) == (100, 3925, 10, (3, 64, 64))
    assert ImagenetteSettings(version="full").describe(access).train == 9469
    assert not access.root.exists()
    code = (
        "import sys, genbench_data.imagenette_settings, genbench_data.celeba_settings as c;"
        "c.CelebaSettings(); print({'torch', 'numpy', 'PIL'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_changed_size_is_decoded_anew_and_an_unchanged_one_comes_from_the_cache(
    access, imagenette, monkeypatch
):
    folder = imagenette(access.root)
    old = 1_700_000_000
    for file in folder.rglob("*.JPEG"):
        os.utime(file, (old, old))  # files younger than two seconds may change again
    before = load(access, size=16)
    load(access, size=24)
    assert len(list((access.cache / "data").glob("imagenette-*/entry.json"))) == 2

    def never(*_):
        raise AssertionError("opened again")

    monkeypatch.setattr(Image, "open", never)
    monkeypatch.setattr("genbench_data.content_digest._file_digest", never)
    assert load(access, size=16).train.digest == before.train.digest


# --- downloads


def test_an_absent_version_is_downloaded_unpacked_and_left_without_its_archive(
    access, mirror, serve
):
    serve()
    told = []
    listening = replace(access, offline=False, progress=lambda *call: told.append(call))
    assert len(load(listening, size=8).train.x) == 30
    size = mirror.stat().st_size
    assert ("downloading imagenette2-160.tgz", size, size) in told
    left = {file.name for file in access.root.iterdir()}
    assert left - {".imagenette2-160.lock"} == {"imagenette2-160"}
    assert len(datasets.Imagenette(access.root, split="val", size="160px")) == 20


def test_an_archive_placed_by_hand_is_unpacked_offline_and_stays(access, mirror):
    access.root.mkdir()
    mirror.rename(access.root / mirror.name)
    assert ImagenetteSettings().missing(access) is None
    assert len(load(access, size=8).train.x) == 30
    assert (access.root / mirror.name).is_file()


def test_an_archive_cut_short_by_hand_is_refused_and_nothing_is_unpacked(access, mirror):
    access.root.mkdir()
    (access.root / mirror.name).write_bytes(mirror.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"expected MD5 .*, found .* \(1,000 bytes\); delete it"):
        load(access)
    assert not (access.root / "imagenette2-160").exists()


def test_an_archive_that_breaks_off_leaves_no_folder(access, mirror, monkeypatch):
    access.root.mkdir()
    cut = access.root / mirror.name
    cut.write_bytes(mirror.read_bytes()[:-3000])
    publish(monkeypatch, cut)
    with pytest.raises(DataError, match=r"imagenette2-160\.tgz can't be unpacked"):
        load(access)
    assert {file.name for file in access.root.iterdir()} <= {cut.name, ".imagenette2-160.lock"}


def test_nothing_is_written_outside_of_the_data_directory(access, tmp_path, monkeypatch):
    access.root.mkdir()
    evil = access.root / "imagenette2-160.tgz"
    with tarfile.open(evil, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"), io.BytesIO())
    publish(monkeypatch, evil)
    with pytest.raises(DataError, match="regular file or folder inside"):
        load(access)
    assert not list(tmp_path.rglob("outside"))


def test_an_archive_of_something_else_is_refused(access, monkeypatch):
    access.root.mkdir()
    other = access.root / "imagenette2-160.tgz"
    with tarfile.open(other, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    publish(monkeypatch, other)
    with pytest.raises(DataError, match="has no folder imagenette2-160"):
        load(access)


def test_what_a_killed_process_left_is_no_obstacle(access, mirror):
    part = access.root / ".imagenette2-160.part" / "imagenette2-160" / "train"
    part.mkdir(parents=True)
    (part / "half").write_bytes(b"x")
    mirror.rename(access.root / mirror.name)
    assert len(load(access, size=8).train.x) == 30
    assert not (access.root / ".imagenette2-160.part").exists()
    assert not (access.root / "imagenette2-160" / "train" / "half").exists()


def test_offline_and_absent_says_what_goes_where(access):
    with pytest.raises(DataError, match="downloads are forbidden") as error:
        load(access, version="320px")
    message = str(error.value)
    assert f"put imagenette2-320.tgz (from {URL}) into {access.root}" in message
    assert "'digits' needs no download" in message
    assert "\n" not in message
    settings = ImagenetteSettings(version="320px")
    assert settings.missing(access) == str(access.root / "imagenette2-320")


def test_a_mirror_without_it_is_named(access, mirror, serve):
    mirror.unlink()
    serve()
    with pytest.raises(DataError, match=r"can't be downloaded \(http://127.*tgz: .*404") as error:
        load(replace(access, offline=False))
    assert str(access.root) in str(error.value)


# --- through the command line


def test_a_vae_trains_on_it_from_the_command_line(imagenette, genbench, tmp_path):
    imagenette(tmp_path / "data")
    code, said = genbench(
        "run vae imagenette --set data.size=32 --set hidden=[16] --set z_dim=4 --device cpu "
        "--epochs 1 --batch-size 10 --samples 20 --metric fd_pixel"
    )
    assert code == 0, said
    assert "fd_pixel" in said


def test_ijzers_vae_is_planned_without_the_files_and_says_what_a_run_would_miss(genbench, tmp_path):
    code, said = genbench("run vae imagenette --preset ijzer --dry-run")
    assert code == 0, said
    assert "3 x 160 x 160, 9,469 to train, 3,925 to test" in said
    code, said = genbench("run vae imagenette --preset ijzer")
    assert code == 2
    assert f"put imagenette2-160.tgz (from {URL}) into {tmp_path / 'data'}" in said
