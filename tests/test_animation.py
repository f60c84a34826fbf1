"""An animation shows the stored samples of each epoch, in order."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from genbench.errors import DataError, UsageError
from genbench.pictures import animation
from genbench.pictures.animation import HOLD, save_animation


@pytest.fixture
def pictures(tmp_path):
    """Four grey pictures that become lighter; the last is larger and of an odd size."""
    found = []
    for i in range(4):
        path = tmp_path / f"epoch-{i}.png"
        Image.new("L", (32, 32) if i < 3 else (35, 33), 60 * i).save(path)
        found.append(path)
    return found


def shades(path):
    with Image.open(path) as gif:
        found = []
        for i in range(gif.n_frames):
            gif.seek(i)
            found.append((gif.convert("L").getpixel((3, 3)), gif.info["duration"]))
        return found, gif.info.get("loop"), gif.size


def test_a_gif_has_each_picture_once_in_order_and_holds_the_last(pictures, tmp_path):
    assert save_animation(pictures, tmp_path / "a.gif", fps=5) == 4
    found, loop, size = shades(tmp_path / "a.gif")
    assert found == [(0, 200), (60, 200), (120, 200), (180, HOLD * 200)]
    assert (loop, size) == (0, (36, 34))


def test_a_gif_of_colours_keeps_them(tmp_path):
    pictures = []
    for i, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{i}.png")
        pictures.append(tmp_path / f"{i}.png")
    save_animation(pictures, tmp_path / "a.gif", fps=2)
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(1)
        assert np.abs(np.array(gif.convert("RGB").getpixel((3, 3))) - (0, 0, 255)).max() < 8


def test_an_mp4_shows_the_same_pictures(pictures, tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="pip install 'genbench[video]'")
    save_animation(pictures, tmp_path / "a.mp4", fps=5)
    read = [animation.ffmpeg(), "-loglevel", "error", "-i", str(tmp_path / "a.mp4")]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run([*read, *raw], capture_output=True, check=True)
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, 34, 36, 3)
    assert len(frames) == 4 + HOLD
    assert [round(frame[:20, :20].mean() / 60) for frame in frames[:4]] == [0, 1, 2, 3]


def test_an_mp4_without_ffmpeg_is_one_sentence(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "find_spec", lambda name: None)
    monkeypatch.setattr(animation, "which", lambda name: None)
    with pytest.raises(UsageError, match=r"needs ffmpeg.*FILE\.gif"):
        save_animation(pictures, tmp_path / "a.mp4", fps=5)
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut"])
def test_a_picture_that_is_missing_or_damaged_is_one_sentence(pictures, tmp_path, content):
    pictures[1].write_bytes(content)
    with pytest.raises(DataError, match=r"epoch-1\.png is not a picture"):
        save_animation(pictures, tmp_path / "a.gif", fps=5)
    pictures[1].unlink()
    with pytest.raises(DataError, match="epoch-1"):
        save_animation(pictures, tmp_path / "a.gif", fps=5)
    assert not (tmp_path / "a.gif").exists()


def test_a_picture_of_a_stranger_can_not_take_all_memory(pictures, tmp_path):
    Image.new("1", (9_000, 2)).save(pictures[1])
    with pytest.raises(DataError, match="too many"):
        save_animation(pictures, tmp_path / "a.gif", fps=5)


def test_the_encoder_on_the_path_is_used_where_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(animation, "find_spec", lambda name: None)
    monkeypatch.setattr(animation, "which", lambda name: sys.executable)
    assert animation.ffmpeg() == sys.executable
