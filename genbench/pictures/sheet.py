"""Sheets of images: rows and columns with their names, headings and a caption.

Every image is enlarged by a whole factor, so that its pixels stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from genbench.contracts import Picture
from genbench.files.writing import replacing
from genbench.formatting import visible
from genbench.pictures.figure import broken

CELL = 56
"""Pixels that an image's longer side is enlarged to at least."""

LARGEST = 4_000
"""Pixels of a sheet's side up to which images are enlarged."""

SPACE, GAP, EDGE = 2, 12, 8
"""Pixels between images, between groups, and around a sheet."""

LETTERS, LETTER = 12, 7
"""Pixels of a letter's height, and of its width on average."""

WITHIN = re.compile(r"(?<=[_/])(?=[^_/])|(?<=[^\W\d]-)(?=\w)")
"""Where a name such as Blond_Hair may be broken if it is wider than its column."""

LONGEST = 20
"""Letters of a part of a name up to which it stays whole and moves the groups apart."""

NARROWEST = 420
"""Pixels that a caption may be wide where the images take less."""

PAPER, INK = 255, 70

CAPTION = "caption-height"

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Text = tuple[tuple[float, float], str, str]
"""A place (x, y) from the corner of the first image, the text there, and Pillow's anchor for it."""


def save_sheet(picture: Picture, path: Path, run: str = "") -> None:
    """Write a picture as one PNG; a reader never sees half a file.

    ``run`` are the words of its caption for the run, see `genbench.pictures.samples.described`.
    """
    write_png(drawn(picture, run), path)


def write_png(image: Image.Image, path: Path) -> None:
    """Write an image as PNG; a reader never sees half a file.

    The file says in a text chunk how many pixels of its top the caption takes, so that a page with
    captions of its own can leave it out.
    """
    chunks = PngInfo()
    if CAPTION in image.info:
        chunks.add_text(CAPTION, f"{image.info[CAPTION]:04d}")
    with replacing(path) as part:
        image.save(part, format="PNG", pnginfo=chunks)


def as_pillow(pixels: Pixels) -> Image.Image:
    """Pixels (H, W, C), C of 1, 3 or 4, as an image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def drawn(picture: Picture, run: str = "") -> Image.Image:
    """The sheet, grey where its images are, as large as its images and texts need."""
    grid, columns, rows = _grid(picture)
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    texts = [*_headings(picture, columns), *_names(picture, columns, rows)]
    left, top, right, bottom = _bounds(draw, texts, grid.size)
    images_top = top
    if caption := ": ".join(filter(None, (picture.about, run))):
        wide = max(right - left, NARROWEST)
        texts.append(((left, top - EDGE), broken(caption, round(wide / LETTER)), "ld"))
        left, top, right, bottom = _bounds(draw, texts, grid.size)
    edge = EDGE if texts else SPACE
    size = (round(right - left) + 2 * edge, round(bottom - top) + 2 * edge)
    sheet = Image.new(grid.mode, size, "white")
    sheet.info[CAPTION] = round(images_top - top) + edge - SPACE if caption else 0
    x, y = edge - round(left), edge - round(top)
    sheet.paste(grid, (x, y))
    draw = ImageDraw.Draw(sheet)
    ink = (INK,) * len(grid.getbands()[:3])
    for (column, row), text, anchor in texts:
        align = "left" if anchor == "ld" else "center"
        draw.text((x + column, y + row), text, ink, _font(), anchor, align=align)
    return sheet


def _grid(picture: Picture) -> tuple[Image.Image, list[tuple[int, int]], list[tuple[int, int]]]:
    """The images beside one another, and where each column and row begins and ends."""
    pixels: Pixels = picture.images.permute(0, 2, 3, 1).numpy()
    height, width, channels = pixels.shape[1:]
    room = LARGEST // max(picture.columns * (width + SPACE), picture.rows * (height + SPACE))
    scale = max(1, min(-(-CELL // max(height, width)), room))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    ends = {sum(count for _, count in picture.groups[: k + 1]) for k in range(len(picture.groups))}
    columns = _placed(picture.columns, width * scale, ends, _gap(picture.groups, width * scale))
    together = picture.rows_together or picture.rows
    rows = _placed(picture.rows, height * scale, range(together, picture.rows, together), GAP)
    paper: Pixels = np.full((rows[-1][1], columns[-1][1], channels), PAPER, np.uint8)
    for place, image in enumerate(pixels):
        (top, bottom), (left, right) = rows[place // len(columns)], columns[place % len(columns)]
        paper[top:bottom, left:right] = image
    return as_pillow(paper), columns, rows


def _gap(groups: Sequence[tuple[str, int]], size: int) -> int:
    """The pixels between groups that leave room for the widest part of each heading."""
    lacking = (
        max((_width(part) for word in _words(heading) for part in _parts(word)), default=0)
        + LETTER
        - count * (size + SPACE)
        for heading, count in groups
    )
    return max(GAP, *map(ceil, lacking)) if len(groups) > 1 else GAP


def _placed(count: int, size: int, gaps: Collection[int], gap: int) -> list[tuple[int, int]]:
    """Beginning and end of each of so many images in a line; a gap lies before some of them."""
    starts = [i * (size + SPACE) + gap * sum(place <= i for place in gaps) for i in range(count)]
    return [(start, start + size) for start in starts]


def _headings(picture: Picture, columns: Sequence[tuple[int, int]]) -> Iterator[Text]:
    """The headings of the groups, each no wider than its images and the gap beside them."""
    first = 0
    gap = _gap(picture.groups, columns[0][1] - columns[0][0])
    for heading, count in picture.groups:
        left, right = columns[first][0], columns[first + count - 1][1]
        first += count
        if heading:
            text = wrapped(heading, right - left + SPACE + gap - LETTER)
            yield ((left + right) / 2, -EDGE), text, "md"


def wrapped(heading: str, room: int) -> str:
    """A heading on lines of at most so many pixels, or of one part that is wider.

    A comma ends a line. A word is broken only if it is wider than a line.
    """
    lines = [","]
    for word in _words(heading):
        between = " "
        for part in [word] if _width(word) <= room else _parts(word):
            line = lines[-1] + between + part
            if lines[-1].endswith(",") or _width(line) > room:
                lines.append(part)
            else:
                lines[-1] = line
            between = ""
    return "\n".join(lines[1:])


def _words(heading: str) -> list[str]:
    return visible(heading).replace(",", ", ").split()


def _parts(word: str) -> list[str]:
    """What stays together of a word; a part of very many letters is cut."""
    parts = WITHIN.split(word)
    return [part[at : at + LONGEST] for part in parts for at in range(0, len(part), LONGEST)]


def _width(text: str) -> float:
    """Pixels of a line of text."""
    return _font().getlength(text)


def _names(
    picture: Picture, columns: Sequence[tuple[int, int]], rows: Sequence[tuple[int, int]]
) -> Iterator[Text]:
    """The names of rows and columns, those of every n-th where they would touch."""
    for name, (top, bottom) in zip(picture.row_names, rows, strict=bool(picture.row_names)):
        if name:
            yield (-EDGE, (top + bottom) / 2), broken(name), "rm"
    names = picture.column_names
    widest = max(map(_font().getlength, names), default=0) + LETTER
    step = columns[1][0] - columns[0][0] if len(columns) > 1 else widest
    apart = int(-(-widest // step)) if any(a and b for a, b in pairwise(names)) else 1
    # Counted from the middle, so that a range around 0 includes the 0.
    for place in range(len(names) // 2 % apart, len(names), apart):
        left, right = columns[place]
        yield ((left + right) / 2, rows[-1][1] + EDGE / 2), names[place], "ma"


def _bounds(
    draw: ImageDraw.ImageDraw, texts: Sequence[Text], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the images and all texts."""
    boxes = [(0.0, 0.0, *map(float, size))]
    boxes += [draw.textbbox(place, text, _font(), anchor) for place, text, anchor in texts]
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """matplotlib's own font, which has more letters than Pillow's; matplotlib isn't imported."""
    found = find_spec("matplotlib")
    if found is not None and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, LETTERS)
    return ImageFont.load_default(LETTERS)
