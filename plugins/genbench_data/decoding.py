"""Image files to uint8 planes: read, turned and flattened alike for every set of pictures.

A file is what its first bytes say, whatever its name, so only the formats of `FORMATS` are
opened: Pillow hands PostScript to Ghostscript, which is a program of a stranger that is run.

An image is turned as its EXIF says, laid on white where it is transparent, and of 16 bits keeps
the upper 8. Pillow decodes outside Python's lock, so that threads share the work.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genbench import DataError
from genbench_data.resize import CHUNK, Pixels

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats of pixels alone, as Pillow calls them: those of the suffixes in `listing`."""
MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Pixels of one picture: above them Pillow warns of a decompression bomb, here it is refused."""

# Not around each call: the filters are those of the process, and threads decode side by side.
warnings.simplefilter("error", Image.DecompressionBombWarning)


def in_chunks(
    files: Sequence[Path], decode: Callable[[Path], Pixels], *, what: str, hint: str
) -> Iterator[Pixels]:
    """Yield uint8 (b, C, H, W) in the order of ``files``; memory holds one chunk.

    Raises DataError for a file that ``decode`` stumbles over, with its name and the ``hint``.
    """

    def decoded(file: Path) -> Pixels:
        try:
            return decode(file)
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            raise DataError(f"{what}: {file} can't be decoded ({error}); {hint}") from error

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), CHUNK):
            yield np.stack(list(pool.map(decoded, files[start : start + CHUNK])))


def read_image(file: Path, mode: Literal["L", "RGB"] = "RGB") -> Image.Image:
    """Decode one file, upright, grey or in colour.

    Raises ValueError for a picture of more than `MOST_PIXELS`, and what Pillow raises.
    """
    try:
        with Image.open(file, formats=FORMATS) as opened:
            return _flat(ImageOps.exif_transpose(opened), mode)
    except UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(
            f"it unpacks to more than the {MOST_PIXELS:,} pixels that are allowed"
        ) from None


def central_square(image: Image.Image, side: int | None = None) -> Image.Image:
    """The square of ``side`` pixels in the middle; None: as large as the image allows.

    Cut at whole pixels (the half of an odd rest stays right and below): a box at half a pixel
    would blur what needs no resizing. Raises ValueError if the image is smaller.
    """
    side = side or min(image.size)
    if side > min(image.size):
        raise ValueError(f"{image.width}x{image.height} pixels, too few for a crop of {side}")
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def planes(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """Uint8 (C, height, width) of an image resized bicubically to ``size`` (width, height)."""
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Eight bits a channel, without transparency.

    Pillow by itself clips 16-bit images to white and shows whatever hides behind transparency.
    """
    if image.mode == "F":
        raise ValueError("floating-point images have no stated range; save them as 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert(mode)
    return image.convert(mode)
