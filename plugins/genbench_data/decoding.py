"""Decode image files to uint8 planes, in the same way for all data sets.

The format of a file depends on its content, not its name. Only the formats in `FORMATS` are opened:
for PostScript, Pillow would run Ghostscript on a file from an unknown source.

An image is rotated by its EXIF orientation, transparent pixels are blended with white, and only the
upper 8 of 16 bits are kept. Pillow decodes without the GIL, so that several threads can be used.
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
"""Raster formats, by Pillow's names, for the suffixes in `image_listing`."""
MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""The maximum number of pixels, above which Pillow warns of a decompression bomb."""

# Set once, since warning filters belong to the process, and several threads decode.
warnings.simplefilter("error", Image.DecompressionBombWarning)


def in_chunks(
    files: Sequence[Path], decode: Callable[[Path], Pixels], *, what: str, hint: str
) -> Iterator[Pixels]:
    """Yield uint8 (b, C, H, W) in the order of ``files``, with one chunk in memory.

    Raises DataError for a file that ``decode`` fails on, with its name and the ``hint``.
    """

    def decoded(file: Path) -> Pixels:
        try:
            return decode(file)
        except Exception as error:  # Pillow's decoders raise many kinds of errors
            raise DataError(f"{what}: {file} can't be decoded ({error}); {hint}") from error

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), CHUNK):
            yield np.stack(list(pool.map(decoded, files[start : start + CHUNK])))


def read_image(file: Path, mode: Literal["L", "RGB"] = "RGB") -> Image.Image:
    """Decode one file to a grey or colour image with the right orientation.

    Raises ValueError for an image with more than `MOST_PIXELS`, and the errors of Pillow.
    """
    try:
        with Image.open(file, formats=FORMATS) as opened:
            return _flat(ImageOps.exif_transpose(opened), mode)
    except UnidentifiedImageError:
        raise ValueError(f"its format is not one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"it has more than the maximum of {MOST_PIXELS:,} pixels") from None


def central_square(image: Image.Image, side: int | None = None) -> Image.Image:
    """The central square with ``side`` pixels; None: as large as possible.

    It is cropped at integer pixels (an odd remainder is at the right and below), since half a pixel
    would blur images that need no resizing. Raises ValueError if the image is smaller.
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
    """Convert to 8 bits per channel without transparency.

    Pillow's own conversion clips 16-bit images to white and shows the colour of transparent pixels.
    """
    if image.mode == "F":
        raise ValueError("floating-point images have no stated range; save them as 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert(mode)
    return image.convert(mode)
