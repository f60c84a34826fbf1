"""Pictures of one run over its epochs as a GIF or an MP4, or side by side as a PNG.

A GIF is written by Pillow. An MP4 needs ffmpeg: that of the package imageio-ffmpeg, or the one on
the path.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from PIL import Image

from genbench.errors import DataError, UsageError
from genbench.files.writing import replacing

LARGEST = 8_192
"""Pixels of a side at most: a picture of an imported run may be anything."""
HOLD = 4
"""Number of frames for which the last picture is shown."""


def save_animation(pictures: Sequence[Path], path: Path, fps: float) -> int:
    """Write pictures, one a frame, into ``path`` (.gif or .mp4); return the number of frames.

    Raises DataError for a picture that is missing or damaged, UsageError for an MP4 without ffmpeg.
    """
    encoder = None if path.suffix == ".gif" else ffmpeg()
    frames = _padded([_opened(picture) for picture in pictures])
    with replacing(path) as part:
        if encoder is None:
            _write_gif(frames, part, fps)
        else:
            _write_mp4(encoder, frames, part, fps)
    return len(frames)


def save_side_by_side(pictures: Sequence[Path], path: Path) -> int:
    """Write pictures from left to right into ``path`` (.png); return their number.

    Raises DataError for a picture that is missing or damaged.
    """
    frames = _padded([_opened(picture) for picture in pictures])
    width, height = frames[0].size
    whole = Image.new(frames[0].mode, (width * len(frames), height), "white")
    for place, frame in enumerate(frames):
        whole.paste(frame, (place * width, 0))
    with replacing(path) as part:
        whole.save(part, "PNG")
    return len(frames)


def ffmpeg() -> str:
    """The encoder. Raises UsageError if there is none."""
    if find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    if found := which("ffmpeg"):
        return found
    raise UsageError(
        "an .mp4 needs ffmpeg, which isn't installed; use --out FILE.gif",
        hint="pip install 'genbench[video]'",
    )


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            if max(image.size) > LARGEST:
                raise DataError(f"{path} has {image.width} x {image.height} pixels, too many")
            return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a picture that can be read: {error}") from error


def _padded(images: Sequence[Image.Image]) -> list[Image.Image]:
    """All images on white of one size, with even sides for the MP4, and in one mode."""
    size = tuple(max(side) + max(side) % 2 for side in zip(*(i.size for i in images), strict=True))
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    frames = []
    for image in images:
        frame = Image.new(mode, (size[0], size[1]), "white")
        frame.paste(image)
        frames.append(frame)
    return frames


def _write_gif(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    """GIF counts in hundredths of a second; it starts over at its end."""
    duration = 10 * round(100 / fps)
    durations = [duration] * (len(frames) - 1) + [HOLD * duration]
    first, *rest = frames
    first.save(
        path, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False
    )


def _write_mp4(encoder: str, frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    width, height = frames[0].size
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)]
    made = ["-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    words = [encoder, "-y", "-loglevel", "error", *given, "-i", "-", *made, "-f", "mp4", str(path)]
    data = b"".join(frame.convert("RGB").tobytes() for frame in [*frames, *[frames[-1]] * HOLD])
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise DataError(f"ffmpeg can't write the .mp4: {said}; use --out FILE.gif")
