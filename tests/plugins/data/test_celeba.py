"""celeba on small faces in torchvision's layout: parts, labels, crop, download, errors."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision import datasets

from genbench import DataError
from genbench.testing import check_dataset
from genbench_data.celeba import Celeba
from genbench_data.celeba_settings import ATTRIBUTES, CelebaSettings

PARTS = [0] * 20 + [1] * 4 + [2] * 8
NAMES = [f"{k + 1:06d}.jpg" for k in range(len(PARTS))]
MALE = [k % 2 == 1 for k in range(len(PARTS))]
SMILING = [k % 4 >= 2 for k in range(len(PARTS))]


def load(access, **settings):
    return Celeba(CelebaSettings(**settings)).load(access)


def face(k):
    """178x218, of a grey that tells which, with a red square of 74 in the middle."""
    image = Image.new("RGB", (178, 218), (4 * k, 4 * k, 4 * k))
    image.paste((255, 0, 0), (52, 72, 126, 146))
    return image


def attributes_text():
    rows = []
    for k, name in enumerate(NAMES):
        has = {"Male": MALE[k], "Smiling": SMILING[k], "Young": True}
        rows.append(f"{name} " + " ".join(f"{1 if has.get(a) else -1:2d}" for a in ATTRIBUTES))
    return "\n".join([str(len(NAMES)), " ".join(ATTRIBUTES), *rows, ""])


def write_celeba(folder):
    """32 faces, and the text files that torchvision wants too."""
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    for k, name in enumerate(NAMES):
        face(k).save(images / name, quality=95)
    lines = [f"{name} {part}" for name, part in zip(NAMES, PARTS, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join([*lines, ""]))
    (folder / "list_attr_celeba.txt").write_text(attributes_text())
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in NAMES))
    for name, columns in (("list_bbox_celeba", 4), ("list_landmarks_align_celeba", 10)):
        rows = "".join(f"{image}{' 1' * columns}\n" for image in NAMES)
        (folder / f"{name}.txt").write_text(f"{len(NAMES)}\n{'c ' * columns}\n{rows}")
    return folder


@pytest.fixture
def celeba(access):
    return write_celeba(access.root / "celeba")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """The files as a mirror holds them, with their MD5 sums where torchvision lists them."""
    folder = write_celeba(tmp_path / "mirror" / "celeba")
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name in NAMES:
            archive.write(folder / "img_align_celeba" / name, f"img_align_celeba/{name}")
    known = [
        (file_id, hashlib.md5((folder / name).read_bytes()).hexdigest(), name)
        for file_id, _, name in datasets.CelebA.file_list
    ]
    monkeypatch.setattr(datasets.CelebA, "file_list", known)
    return folder


# --- parts and labels


def test_parts_and_attributes_are_those_of_torchvision(celeba, access, monkeypatch):
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)  # its MD5 sums
    data = load(access, attributes=["Smiling"], crop=178, size=178)
    assert data.spec.class_names == ("not Smiling", "Smiling")
    for split, part in ((data.train, "train"), (data.test, "test")):
        theirs = datasets.CelebA(access.root, split=part)
        assert len(theirs) == len(split.x) == len(split.y)
        column = theirs.attr_names.index("Smiling")
        for x, y, (image, attributes) in zip(split.x, split.y, theirs, strict=True):
            assert y == attributes[column]
            assert np.array_equal(x.transpose(1, 2, 0), np.asarray(image)[20:198])


def test_it_keeps_the_contract_of_data_sets(celeba, access):
    check_dataset("celeba", CelebaSettings(size=16), access=access)


def test_every_combination_of_attributes_is_a_class(celeba, access):
    data = load(access, size=8)
    assert data.spec.class_names == (
        "not Male, not Smiling",
        "not Male, Smiling",
        "Male, not Smiling",
        "Male, Smiling",
    )
    assert data.train.y.tolist() == [2 * MALE[k] + SMILING[k] for k in range(20)]
    assert data.test.y.tolist() == [2 * MALE[k] + SMILING[k] for k in range(24, 32)]
    turned = load(access, size=8, attributes=["Smiling", "Male"])
    assert turned.train.y.tolist() == [2 * SMILING[k] + MALE[k] for k in range(20)]
    assert turned.train.digest != data.train.digest


def test_without_attributes_there_are_no_labels_and_no_file_of_them_is_needed(celeba, access):
    (celeba / "list_attr_celeba.txt").unlink()
    data = load(access, size=8, attributes=[])
    assert (data.train.y, data.spec.classes, data.spec.class_names) == (None, None, ())


def test_other_attributes_are_other_labels_of_the_same_decoded_images(celeba, access):
    first, second = load(access, size=8), load(access, size=8, attributes=["Young"])
    assert len(list((access.cache / "data").glob("celeba-*/entry.json"))) == 1
    assert np.array_equal(first.train.x, second.train.x)
    assert first.train.digest != second.train.digest
    assert second.train.y.tolist() == [1] * 20


def test_the_validation_part_is_left_out_or_joins_training(celeba, access):
    left_out, joined = load(access, size=8), load(access, size=8, valid=True)
    assert (len(left_out.train.x), len(joined.train.x)) == (20, 24)
    assert np.array_equal(joined.train.x[:20], left_out.train.x)
    assert joined.test.digest == left_out.test.digest
    assert joined.spec == CelebaSettings(size=8, valid=True).describe(access)


def test_a_limit_keeps_the_first_training_images_and_all_test_images(celeba, access):
    whole, few = load(access, size=8), load(access, size=8, limit=5)
    assert np.array_equal(few.train.x, whole.train.x[:5])
    assert np.array_equal(few.train.y, whole.train.y[:5])
    assert few.train.digest != whole.train.digest
    assert few.test.digest == whole.test.digest
    assert (few.spec.train, few.spec.test) == (5, 8)


def test_published_counts_are_known_without_any_file(access):
    spec = CelebaSettings().describe(access)
    assert (spec.train, spec.test, spec.shape, spec.classes) == (162770, 19962, (3, 64, 64), 4)
    assert CelebaSettings(valid=True).describe(access).train == 162770 + 19867
    assert CelebaSettings(limit=1000).describe(access).train == 1000
    assert not access.root.exists()


# --- the crop


@pytest.mark.parametrize(("crop", "size"), [(148, 64), (108, 64), (178, 64), (148, 148)])
def test_the_middle_of_the_face_lands_in_the_middle(celeba, access, crop, size):
    x = load(access, size=size, crop=crop).train.x[0].astype(int)
    red = (x[0] > 128) & (x[2] < 128)
    half = size * 74 / crop / 2
    for found in (np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))):
        assert found[0] == pytest.approx(size / 2 - half, abs=1)
        assert found[-1] + 1 == pytest.approx(size / 2 + half, abs=1)


def test_a_face_smaller_than_the_crop_is_named(celeba, access):
    Image.new("RGB", (100, 120)).save(celeba / "img_align_celeba" / "000003.jpg")
    with pytest.raises(DataError, match=r"000003\.jpg .*100x120 pixels, too few for a crop of 148"):
        load(access)


# --- settings


@pytest.mark.parametrize("given", ["Male,Young", "Male, Young", ["Male", "Young"]])
def test_attributes_may_be_typed_with_commas(given):
    assert CelebaSettings(attributes=given).attributes == ("Male", "Young")


@pytest.mark.parametrize("given", ["", None, []])
def test_no_attributes_may_be_typed_in_several_ways(given):
    assert CelebaSettings(attributes=given).attributes == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["Smilng"], r"unknown attribute 'Smilng'; did you mean 'Smiling'\? There are: 5_o_Clock"),
        (["xyz"], r"unknown attribute 'xyz'\. There are: .* Young"),
        (["Male", "Male"], "'Male' is given twice"),
        (ATTRIBUTES[:7], "at most 6"),
    ],
)
def test_attributes_that_cant_be_labels_are_refused_with_what_there_is(given, message):
    with pytest.raises(ValidationError, match=message):
        CelebaSettings(attributes=given)


# --- files that are not as they should be


def spoil(file, line, text):
    lines = file.read_text().splitlines()
    lines[line - 1] = text
    file.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (
            3,
            "000003.jpg",
            r"line 3: expected an image and its part \(0, 1 or 2\), found '000003.jpg'",
        ),
        (4, "000004.jpg 3", r"line 4: .* found '000004.jpg 3'; delete the file to download"),
        (5, "000004.jpg 0", r"line 5: expected every image once"),
    ],
)
def test_a_wrong_line_of_the_parts_is_named(celeba, access, line, text, message):
    file = celeba / "list_eval_partition.txt"
    spoil(file, line, text)
    for attempt in (load, lambda access: CelebaSettings().describe(access)):
        with pytest.raises(DataError, match=f"{file}, {message}"):
            attempt(access)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "31", r"line 1: expected the number of images below, 32, found '31'"),
        (2, "5_o_Clock_Shadow Bald", r"line 2: expected a line of names with Male, Smiling"),
        (6, "000004.jpg 1 -1", r"line 6: expected an image and 40 values"),
        (7, f"000005.jpg{' 0' * 40}", r"line 7: expected 1 or -1, found '0'"),
        (8, f"x.jpg{' 1' * 40}", r"no line for 000006.jpg \(1 of \d+ images have none\)"),
    ],
)
def test_a_wrong_line_of_the_attributes_is_named(celeba, access, line, text, message):
    spoil(celeba / "list_attr_celeba.txt", line, text)
    with pytest.raises(DataError, match=message) as error:
        load(access, size=8)
    assert str(celeba / "list_attr_celeba.txt") in str(error.value)


def test_a_part_without_images_and_a_file_of_no_text_are_named(celeba, access):
    file = celeba / "list_eval_partition.txt"
    file.write_text("000001.jpg 0\n")
    with pytest.raises(DataError, match=r"has no image of part 2 \(test\)"):
        load(access)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=f"{file} can't be read"):
        load(access)


def test_images_that_are_not_there_are_counted_and_the_first_is_named(celeba, access):
    for name in NAMES[5:8]:
        (celeba / "img_align_celeba" / name).unlink()
    with pytest.raises(DataError, match=r"3 of the 28 images .*000006\.jpg is the first.*unpack"):
        load(access)


def test_a_corrupt_face_is_named_with_the_fix(celeba, access):
    spoilt = celeba / "img_align_celeba" / "000002.jpg"
    spoilt.write_bytes(spoilt.read_bytes()[:200])
    with pytest.raises(DataError, match=f"{spoilt} can't be decoded .*delete"):
        load(access)
    assert not list((access.cache / "data").glob("celeba*.part"))


def test_offline_only_the_files_that_are_missing_are_named(celeba, access):
    (celeba / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match="downloads are forbidden") as error:
        load(access)
    assert "put list_eval_partition.txt from the set's page (mmlab" in str(error.value)
    assert f"into {celeba}, or" in str(error.value)
    assert "\n" not in str(error.value)
    assert CelebaSettings().missing(access) == f"list_eval_partition.txt in {celeba}"


def test_an_unchanged_folder_is_neither_read_nor_decoded_again(celeba, access, monkeypatch):
    for file in celeba.rglob("*.jpg"):
        os.utime(file, (1_700_000_000, 1_700_000_000))  # younger ones may change again
    before = load(access)

    def never(*_):
        raise AssertionError("opened again")

    monkeypatch.setattr(Image, "open", never)
    monkeypatch.setattr("genbench_data.content_digest._file_digest", never)
    after = load(access, attributes=["Young"])
    assert np.array_equal(after.train.x, before.train.x)


# --- downloads


def test_absent_files_are_downloaded_from_a_mirror_and_unpacked(access, mirror, serve):
    serve()
    told = []
    listening = replace(access, offline=False, progress=lambda *call: told.append(call))
    assert load(listening, size=8).train.x.shape == (20, 3, 8, 8)
    assert ("unpacking img_align_celeba.zip", 32, 32) in told
    assert {file.name for file in (access.root / "celeba").iterdir()} - {
        ".img_align_celeba.lock"
    } == {"img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"}


def test_an_archive_placed_by_hand_is_unpacked_offline_and_stays(access, mirror):
    folder = access.root / "celeba"
    folder.mkdir(parents=True)
    for name in ("img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt"):
        (mirror / name).rename(folder / name)
    assert CelebaSettings().missing(access) is None
    assert len(load(access, size=8).train.x) == 20
    assert (folder / "img_align_celeba.zip").is_file()


@pytest.fixture
def drive(mirror, monkeypatch):
    """Google Drive as gdown shows it: the mirror's files by their ids. Returns what was asked."""
    names = {file_id: name for file_id, _, name in datasets.CelebA.file_list}
    asked = []

    def download(*, id, output, **_):
        asked.append(names[id])
        Path(output).write_bytes((mirror / names[id]).read_bytes())

    gdown = types.ModuleType("gdown")
    gdown.__spec__ = types.SimpleNamespace(name="gdown")
    gdown.download = download
    monkeypatch.setitem(sys.modules, "gdown", gdown)
    return asked


def test_without_a_mirror_only_what_is_needed_comes_from_google_drive(access, drive):
    assert len(load(replace(access, offline=False), size=8).train.x) == 20
    assert drive == ["list_eval_partition.txt", "list_attr_celeba.txt", "img_align_celeba.zip"]
    assert not list((access.root / "celeba").glob(".drive-*"))


def test_a_spent_quota_says_how_to_place_the_files_by_hand(access, drive, monkeypatch):
    def refuse(**_):
        raise RuntimeError("Too many users have\nviewed or downloaded this file recently.")

    monkeypatch.setattr(sys.modules["gdown"], "download", refuse)
    with pytest.raises(DataError, match="Too many users have viewed") as error:
        load(replace(access, offline=False))
    message = str(error.value)
    assert "img_align_celeba.zip from the set's page (mmlab" in message
    assert f"into {access.root / 'celeba'}" in message
    assert "\n" not in message
    assert list((access.root / "celeba").iterdir()) == []


def test_a_page_in_place_of_the_file_is_refused_and_not_kept(access, drive, monkeypatch):
    def give_a_page(*, output, **_):
        Path(output).write_text("<html>sign in</html>")

    monkeypatch.setattr(sys.modules["gdown"], "download", give_a_page)
    with pytest.raises(DataError, match=r"did not return the file with the right MD5"):
        load(replace(access, offline=False))
    assert list((access.root / "celeba").iterdir()) == []


def test_without_gdown_the_message_says_how_to_get_it(access, monkeypatch):
    monkeypatch.setattr("genbench_data.google_drive.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install gdown") as error:
        load(replace(access, offline=False))
    assert f"into {access.root / 'celeba'}" in str(error.value)


# --- through the command line


def test_a_dcgan_trains_on_it_from_the_command_line(genbench, tmp_path):
    write_celeba(tmp_path / "data" / "celeba")
    code, said = genbench(
        "run dcgan celeba --set data.attributes=Smiling --set g_channels=4 --set d_channels=4 "
        "--device cpu --epochs 1 --batch-size 10 --samples 20 --metric fd_pixel --json -q"
    )
    assert code == 0, said
    assert json.loads(said)["status"] == "finished"


def test_lin2023s_vae_is_planned_without_the_files(genbench):
    code, said = genbench("run vae celeba --preset lin2023 --dry-run")
    assert code == 0, said
    assert "3 x 64 x 64, 162,770 to train, 19,962 to test" in said
