from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from genbench import DataError
from genbench_data.image_folder import ImageFolder
from genbench_data.image_settings import ImageFolderSettings


def load(access, folder, **settings):
    given = ImageFolderSettings(path=str(folder), **{"size": 8, **settings})
    return ImageFolder(given).load(access)


def describe(access, folder, **settings):
    return ImageFolderSettings(path=str(folder), **{"size": 8, **settings}).describe(access)


def everything(data):
    return np.concatenate([data.train.x, data.test.x])


@pytest.fixture
def classes(tmp_path):
    """Two classes of 20 coloured images, by name red and green, a few with odd suffixes."""
    for name, colour in (("red", (200, 10, 10)), ("green", (10, 200, 10))):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for k in range(20):
            suffix = ("PNG", "jpg", "JPG", "Jpeg", "bmp")[k % 5]
            image = Image.new("RGB", (20, 10 + k % 3), colour)
            image.putpixel((k, 0), (k, k, k))
            image.save(folder / f"{k:02d}.{suffix}")
    return tmp_path / "pictures"


@pytest.fixture
def one(tmp_path, access):
    """Decode one image, saved by a function, in a flat folder beside another one."""

    def decode(save, **settings):
        folder = tmp_path / "one"
        folder.mkdir()
        save(folder)
        for name in ("z1.png", "z2.png"):
            Image.new("L", (8, 8)).save(folder / name)
        data = load(access, folder, **settings)
        names = sorted(file.name for file in folder.iterdir())
        assert data.train.y is None
        spec = describe(access, folder, **settings)
        assert spec == data.spec
        kept = [x for x in everything(data) if x.any()]
        assert len(names) == 3
        assert len(kept) == 1
        return kept[0]

    return decode


def test_subfolders_are_classes_whatever_the_case_of_the_suffix(access, classes):
    data = load(access, classes)
    assert data.spec == describe(access, classes)
    assert data.spec.class_names == ("green", "red")
    assert data.spec.classes == 2
    assert data.spec.shape == (3, 8, 8)
    assert len(data.train.x) + len(data.test.x) == 40
    for split in (data.train, data.test):
        assert split.x.dtype == np.uint8
        red = split.x[:, 0].mean(axis=(1, 2)) > split.x[:, 1].mean(axis=(1, 2))
        assert np.array_equal(red, split.y == 1)


def test_a_flat_folder_has_no_labels(access, classes):
    data = load(access, classes / "red")
    assert data.train.y is None
    assert data.spec.classes is None
    assert data.spec.class_names == ()


def test_one_subfolder_alone_is_a_wrapper_and_no_class(access, classes):
    shutil.rmtree(classes / "green")
    assert load(access, classes).train.y is None


def test_hidden_files_and_the_leavings_of_archives_are_left_out(access, classes):
    (classes / "red" / "._00.PNG").write_bytes(b"not an image")
    (classes / "__MACOSX" / "red").mkdir(parents=True)
    (classes / "__MACOSX" / "red" / "x.png").write_bytes(b"not an image")
    (classes / ".thumbs").mkdir()
    (classes / ".thumbs" / "x.png").write_bytes(b"not an image")
    (classes / "notes.txt").write_text("not an image either")
    assert describe(access, classes).class_names == ("green", "red")
    assert len(everything(load(access, classes))) == 40


def test_a_link_to_a_folder_above_ends(access, classes):
    (classes / "red" / "loop").symlink_to(classes)
    spec = describe(access, classes)
    assert spec.train + spec.test == 40


def test_a_relative_path_is_looked_up_in_the_data_directory_too(access, classes):
    classes.rename(access.root)
    (access.root / "sub").mkdir()
    for name in ("red", "green"):
        (access.root / name).rename(access.root / "sub" / name)
    assert describe(access, "sub").classes == 2


# --- the split


def test_the_split_stays_when_images_are_added(access, classes):
    def held_out():
        found = ImageFolderSettings(path=str(classes), test_share=0.3).listed(access)
        return set(found.train), set(found.test)

    train, test = held_out()
    assert 4 <= len(test) <= 20
    for k in range(50):
        Image.new("RGB", (4, 4)).save(classes / "red" / f"later{k}.png")
    more_train, more_test = held_out()
    assert train < more_train
    assert test < more_test


def test_the_split_does_not_depend_on_where_the_folder_lies(access, classes, tmp_path):
    before = load(access, classes)
    classes.rename(tmp_path / "elsewhere")
    after = load(access, tmp_path / "elsewhere")
    assert (before.train.digest, before.test.digest) == (after.train.digest, after.test.digest)
    assert len(list((access.cache / "data").glob("image-folder-*/entry.json"))) == 1


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_neither_part_is_ever_empty(access, tmp_path, share):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(folder / name)
    data = load(access, folder, test_share=share)
    assert (len(data.train.x), len(data.test.x)) == (1, 1)


# --- decoding


def test_center_keeps_proportions_and_none_squashes(one):
    def save(folder):
        image = Image.new("RGB", (24, 8), (255, 0, 0))
        image.paste((0, 0, 255), (8, 0, 16, 8))
        image.save(folder / "a.png")

    x = one(save, crop="center")
    assert (x[2] == 255).all()
    assert (x[0] == 0).all()


def test_none_keeps_the_whole_image(one):
    def save(folder):
        image = Image.new("RGB", (24, 8), (255, 0, 0))
        image.paste((0, 0, 255), (8, 0, 16, 8))
        image.save(folder / "a.png")

    x = one(save, crop="none")
    assert (x[0, :, 0] == 255).all()
    assert (x[0, :, -1] == 255).all()
    assert (x[2, :, 3:5] > 240).all()


def test_an_image_is_turned_as_its_exif_says(one):
    def save(folder):
        image = Image.new("L", (8, 8), 0)
        image.paste(255, (0, 0, 8, 2))
        exif = Image.Exif()
        exif[0x0112] = 6  # turn a quarter clockwise: the top row becomes the right column
        image.save(folder / "a.png", exif=exif)

    x = one(save, channels=1)
    assert (x[0, :, 6:] == 255).all()
    assert (x[0, :, :6] == 0).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_bytes_of_the_asked_channels(one, mode, channels):
    suffix = "tif" if mode == "CMYK" else "png"
    white = Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode)
    x = one(lambda folder: white.save(folder / f"a.{suffix}"), channels=channels)
    assert x.shape == (channels, 8, 8)
    assert (x == 255).all()


def test_what_is_transparent_becomes_white(one):
    image = Image.new("RGBA", (8, 8), (90, 0, 0, 0))
    assert (one(lambda folder: image.save(folder / "a.png")) == 255).all()


def test_a_transparent_palette_becomes_white(one):
    def save(folder):
        image = Image.new("P", (8, 8), 3)
        image.putpalette([9] * 768)
        image.save(folder / "a.gif", transparency=3)

    assert (one(save) == 255).all()


def test_sixteen_bits_keep_their_upper_eight(one):
    values = np.full((8, 8), 0x8040, np.uint16)
    x = one(lambda folder: Image.fromarray(values).save(folder / "a.png"), channels=1)
    assert (x == 0x80).all()


# --- what can't be read


@pytest.mark.parametrize("content", [b"", b"no image at all", None])
def test_an_image_that_cant_be_decoded_is_named(access, classes, content):
    file = classes / "red" / "02.JPG"
    file.write_bytes(file.read_bytes()[:-200] if content is None else content)
    with pytest.raises(DataError, match="can't be decoded") as error:
        load(access, classes)
    assert str(file) in str(error.value)
    assert not list((access.cache / "data").glob("*.part"))


def test_floating_point_images_are_refused(access, classes):
    Image.fromarray(np.ones((8, 8), np.float32)).save(classes / "red" / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif can't be decoded .*no stated range"):
        load(access, classes)


def test_a_broken_link_is_named(access, classes):
    (classes / "red" / "gone.png").symlink_to(classes / "nowhere.png")
    with pytest.raises(DataError, match=r"gone\.png can't be read: No such file"):
        load(access, classes)


def test_a_missing_folder_says_where_it_was_looked_for(access):
    with pytest.raises(DataError, match="there is no folder 'nowhere'") as error:
        describe(access, "nowhere")
    assert str(access.root / "nowhere") in str(error.value)


def test_a_file_is_no_folder(access, tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(DataError, match=r"a\.zip is a file"):
        describe(access, tmp_path / "a.zip")


@pytest.mark.parametrize("images", [0, 1])
def test_a_folder_without_at_least_two_images_is_refused(access, tmp_path, images):
    if images:
        (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"has (no images|1 image); at least 2 .*\.jpeg"):
        describe(access, tmp_path)


def test_images_beside_class_folders_are_refused(access, classes):
    (classes / "preview.png").touch()
    with pytest.raises(DataError, match=r"preview\.png, 1 in total\) next to subfolders"):
        describe(access, classes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": ""},
        {"size": 4},
        {"crop": "left"},
        {"channels": 4},
        {"test_share": 0},
        {"test_share": 1},
    ],
)
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError):
        ImageFolderSettings(**{"path": "x", **wrong})


# --- the cache


def settle(folder):
    """Make all files older than the coarsest time stamp."""
    for file in folder.rglob("*.*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))


def test_an_unchanged_folder_is_neither_read_nor_decoded_again(access, classes):
    settle(classes)
    first, told = load(access, classes), []
    listening = type(access)(
        root=access.root, cache=access.cache, progress=lambda *call: told.append(call)
    )
    again = load(listening, classes)
    assert told == []
    assert again.train.digest == first.train.digest
    assert np.array_equal(again.train.x, first.train.x)


def test_a_changed_image_is_noticed(access, classes):
    settle(classes)
    before = load(access, classes)
    Image.new("RGB", (20, 10), (0, 0, 255)).save(classes / "red" / "00.PNG")
    after = load(access, classes)
    assert (before.train.digest, before.test.digest) != (after.train.digest, after.test.digest)
    blue = np.array([0, 0, 255], np.uint8)[:, None, None]
    assert (everything(after) == blue).all(axis=(1, 2, 3)).sum() == 1


def test_a_change_within_one_tick_of_the_clock_is_noticed(access, classes):
    """Same size, same time stamp: only files that have settled are taken on trust."""
    file = classes / "red" / "04.bmp"
    before, stat = load(access, classes), file.stat()
    file.write_bytes(file.read_bytes()[:-30] + bytes(30))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = load(access, classes)
    assert (before.train.digest, before.test.digest) != (after.train.digest, after.test.digest)


def test_the_real_hands_are_2059_images_of_ten_classes(real_access):
    if not (real_access.root / "SignDigits").is_dir():
        pytest.skip("the real data hold no SignDigits")
    data = load(real_access, "SignDigits", size=32)
    counts = np.bincount(data.train.y) + np.bincount(data.test.y)
    assert counts.tolist() == [205, 206, 206, 206, 207, 207, 207, 203, 208, 204]
    assert data.spec.class_names == tuple("0123456789")
    assert data.spec.shape == (3, 32, 32)
    assert 0.07 < len(data.test.x) / 2059 < 0.13
