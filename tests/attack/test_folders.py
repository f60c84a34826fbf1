"""A stranger's folder of pictures runs nothing, hangs nothing and fills no memory."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
(canary) (w) file dup (written) writestring closefile
showpage
"""


def png_of(width: int, height: int) -> bytes:
    """A PNG with a header that promises so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def fifo(path: Path) -> None:
    os.mkfifo(path)


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def written(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


HOSTILE: dict[str, Callable[[Path], None]] = {
    "postscript": written(POSTSCRIPT),
    "endless postscript": written(POSTSCRIPT.replace(b"showpage", b"{} loop")),
    "bomb": written(png_of(60_000, 60_000)),
    "negative": written(png_of(0, 2**31)),
    "fifo": fifo,
    "endless device": linked("/dev/zero"),
    "itself": lambda path: path.symlink_to(path),
    "folder": lambda path: path.mkdir(),
    "empty": written(b""),
    "cut short": written(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "text": written(b"#!/bin/sh\ntouch canary\n"),
    "pickle": written(b"cos\nsystem\n(S'touch canary'\ntR."),
    "gif of frames": written(b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(2000)),
    "svg": written(
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_picture_is_refused_with_its_name(
    kind: str, genbench: Any, tmp_path: Path
) -> None:
    for number in range(20):
        place = tmp_path / "pictures" / "a"
        place.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (8, 8), bytes([number * 10] * 64)).save(place / f"{number}.png")
    HOSTILE[kind](place / "evil.png")
    answer = genbench(
        *("run", "vae", "image-folder:pictures", "--device", "cpu", "--epochs", "1"),
        *("--batch-size", "5", "--set", "data.size=8", "--metric", "fd_pixel"),
        folder=tmp_path,
        env={"GENBENCH_CACHE": str(tmp_path / "cache")},
        limit=20.0,
        grace=5.0,
    )
    answer.check()
    assert not answer.interrupted, "it hangs"
    assert not list(tmp_path.rglob("canary")), "it was executed"
    if kind != "folder":  # a folder is one of pictures, whatever its name
        assert answer.code == 2, answer.err
        assert "evil.png" in answer.err, answer.err
