"""Files that somebody else made: nothing in them is run, and none of them hangs or floods."""

from __future__ import annotations

import gzip
import io
import os
import signal
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from genbench import DataError
from genbench_data import download as downloading, unpack
from genbench_data.content_digest import LARGEST
from genbench_data.decoding import FORMATS, read_image
from genbench_data.download import Archive, DownloadError, download
from genbench_data.idx import read_idx
from genbench_data.image_folder import ImageFolder
from genbench_data.image_listing import SUFFIXES
from genbench_data.image_settings import ImageFolderSettings

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture(autouse=True)
def within_seconds():
    """A test that hangs fails."""

    def stop(*_):
        raise TimeoutError("still reading")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path):
    """Three sound pictures."""
    made = tmp_path / "pictures"
    made.mkdir()
    for k in range(3):
        Image.fromarray(np.full((8, 8), 40 * k, np.uint8)).save(made / f"{k}.png")
    return made


def load(access, folder):
    return ImageFolder(ImageFolderSettings(path=str(folder), size=8)).load(access)


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG that says how large it is."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# --- pictures


def test_postscript_under_the_name_of_a_picture_is_not_run(access, folder, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {ran}\n")
    gs.chmod(gs.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    (folder / "e.png").write_bytes(POSTSCRIPT)
    with pytest.raises(
        DataError, match=r"e\.png can't be decoded \(its format is not one of BMP, GIF"
    ):
        load(access, folder)
    assert not ran.exists()


def test_every_suffix_has_a_format_that_is_read_and_every_format_a_suffix():
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in SUFFIXES} == set(FORMATS)


def test_a_jpeg_of_several_pictures_is_read_as_its_first(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    red, green, blue = read_image(tmp_path / "a.jpg").getpixel((0, 0))
    assert red > 240 > 20 > max(green, blue)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_in_a_sentence(access, folder, side):
    (folder / "bomb.png").write_bytes(png_of(side, side))
    with pytest.raises(
        DataError, match=r"bomb\.png can't be decoded .*more than the maximum of [\d,]+ pixe"
    ):
        load(access, folder)


@pytest.mark.parametrize("make", ["pipe", "device", "folder"])
def test_only_regular_files_are_read(access, folder, make):
    odd = folder / "odd.png"
    if make == "pipe":
        os.mkfifo(odd)
    elif make == "device":
        odd.symlink_to("/dev/zero")
    else:
        # A folder of this name isn't listed as a picture; a link to one is no file either.
        odd.symlink_to(folder, target_is_directory=True)
        assert len(load(access, folder).train.x) == 2
        return
    with pytest.raises(DataError, match=rf"odd\.png is not a regular file but a {make}"):
        load(access, folder)


def test_a_link_to_a_regular_file_is_read(access, folder, tmp_path):
    (folder / "0.png").rename(tmp_path / "elsewhere.png")
    (folder / "0.png").symlink_to(tmp_path / "elsewhere.png")
    data = load(access, folder)
    assert len(data.train.x) + len(data.test.x) == 3


def test_a_file_larger_than_any_picture_is_refused_unread(access, folder):
    with (folder / "huge.png").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(DataError, match=r"huge\.png has 1,073,741,825 bytes, more than"):
        load(access, folder)


def test_the_command_line_says_so_with_exit_code_2(genbench, folder):
    os.mkfifo(folder / "odd.png")
    code, said = genbench("run gan image-folder:pictures --set data.size=8 --epochs 1 -q")
    assert code == 2
    assert "odd.png is not a regular file but a pipe" in said


# --- IDX files


def test_an_idx_header_that_claims_more_than_the_file_holds_is_refused_unread(tmp_path):
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 4_000_000_000, 28, 28)
    (tmp_path / "images").write_bytes(header + b"\0" * 100)
    with pytest.raises(DataError, match=r"expected 3,136,000,000,016 bytes, found 116"):
        read_idx(tmp_path / "images", dimensions=3, what="mnist")


def test_a_gzipped_idx_file_that_unpacks_to_a_flood_is_refused(tmp_path, monkeypatch):
    header = bytes((0, 0, 8, 1)) + struct.pack(">I", 10)
    flood = gzip.compress(header + b"\0" * 30_000_000)
    (tmp_path / "labels.gz").write_bytes(flood)
    taken = []
    read = gzip.GzipFile.read

    def counted(self, size=-1):
        got = read(self, size)
        taken.append(len(got))
        return got

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(DataError, match=r"expected 18 bytes, found more"):
        read_idx(tmp_path / "labels.gz", dimensions=1, what="mnist")
    assert sum(taken) < 100


def test_a_gzipped_idx_header_that_claims_a_flood_is_refused(tmp_path):
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 4_000_000, 28, 28)
    (tmp_path / "images.gz").write_bytes(gzip.compress(header))
    with pytest.raises(DataError, match="more than the maximum of 1,073,741,824"):
        read_idx(tmp_path / "images.gz", dimensions=3, what="mnist")


# --- archives


@contextmanager
def packed(path):
    with tarfile.open(path, "w:gz") as tar:
        yield lambda member, content=b"": tar.addfile(member, io.BytesIO(content))


def member(name: str, kind: bytes = tarfile.REGTYPE, **values) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in values.items():
        setattr(info, key, value)
    return info


def unpack_here(access, packed_file):
    def fetch(archive, folder, access):
        raise AssertionError("it is there")

    import hashlib

    md5 = hashlib.md5(packed_file.read_bytes(), usedforsecurity=False).hexdigest()
    archive = Archive(name=packed_file.name, md5=md5, urls=())
    return unpack.unpacked("set", archive, packed_file.parent, access, fetch)


ODD = {
    "a link out": member("set/x", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a link within": member("set/x", tarfile.SYMTYPE, linkname="y"),
    "a hard link": member("set/x", tarfile.LNKTYPE, linkname="set/y"),
    "a device": member("set/x", tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a pipe": member("set/x", tarfile.FIFOTYPE),
    "an absolute path": member("/tmp/genbench-out"),
    "a path upwards": member("set/../../out"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_archive_holds_plain_files_and_folders_within_alone(access, tmp_path, odd):
    with packed(tmp_path / "set.tgz") as add:
        add(member("set", tarfile.DIRTYPE, mode=0o755))
        add(member("set/y", size=1), b"y")
        add(odd)
    with pytest.raises(DataError, match=r"set\.tgz can't be unpacked .*which is not"):
        unpack_here(access, tmp_path / "set.tgz")
    assert not (tmp_path / "set").exists()
    assert not (tmp_path.parent / "out").exists()


@pytest.mark.parametrize("name", ["/tmp/genbench-out", "set/../../out", "set/link"])
def test_a_zip_archive_does_too(access, tmp_path, name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (0o120777 if name == "set/link" else 0o100644) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr("set/y", b"y")
        file.writestr(info, b"/etc/passwd")
    with pytest.raises(DataError, match=r"set\.zip can't be unpacked .*which is not"):
        unpack_here(access, tmp_path / "set.zip")


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_an_archive_that_unpacks_to_a_flood_is_refused(access, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpack, "MOST_BYTES", 1000)
    path = tmp_path / f"set.{kind}"
    if kind == "tgz":
        with packed(path) as add:
            add(member("set/a", size=600), b"\0" * 600)
            add(member("set/b", size=600), b"\0" * 600)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("set/a", b"\0" * 600)
            file.writestr("set/b", b"\0" * 600)
    with pytest.raises(DataError, match="more than the maximum of 1,000 bytes"):
        unpack_here(access, path)
    assert not (tmp_path / "set").exists()
    assert not (tmp_path / ".set.part").exists()


def test_a_download_without_end_is_given_up(access, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "LARGEST", 100_000)
    (tmp_path / "endless").write_bytes(b"\0" * 300_000)
    url = (tmp_path / "endless").as_uri()
    with pytest.raises(DownloadError, match="more than 100,000 bytes"):
        download(Archive(name="a", md5="0" * 32, urls=[url]), tmp_path / "to", access)
    assert list((tmp_path / "to").iterdir()) == []
