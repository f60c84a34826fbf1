"""A sheet of images as a figure: rows and columns with their names, some columns set apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genbench.pictures.samples import save_image

WIDEST, TALLEST = 1_260, 900
"""Pixels up to which images are enlarged; images that need more room than that get it."""

CELL = 56
"""Pixels that an image's longer side is enlarged to at least, where there is room."""

SPACE, GAP, EDGE = 2, 10, 8
"""Pixels between images, at a gap, and around a sheet that has names."""

LETTERS = 13
"""Pixels of a name's height."""

PAPER, WORDS = 255, 85

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Images (N, C, H, W) uint8, row by row; the last row may be short.

    ``row_names`` stand at the left, ``column_names`` beneath; "" is no name. A wider gap follows
    the columns in ``gaps`` (from 0).
    """

    images: Tensor
    columns: int
    row_names: Sequence[str] = ()
    column_names: Sequence[str] = ()
    gaps: Sequence[int] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return -(-len(self.images) // self.columns)


def save_sheet(sheet: Sheet, path: Path) -> None:
    """Write it as one PNG; a reader never sees half a file."""
    save_image(drawn(sheet), path)


def drawn(sheet: Sheet) -> Tensor:
    """The sheet as one uint8 image (C, H, W): grey where its images are."""
    images = sheet.images.repeat_interleave(scale := _scale(sheet), dim=-2)
    images = images.repeat_interleave(scale, dim=-1)
    height, width = images.shape[-2:]
    font = ImageFont.load_default(LETTERS)
    named = any(sheet.row_names) or any(sheet.column_names)
    edge = EDGE if named else SPACE
    left = edge + _widest(sheet.row_names, font)
    lefts = [
        left + column * (width + SPACE) + GAP * sum(gap < column for gap in sheet.gaps)
        for column in range(sheet.columns)
    ]
    tops = [edge + row * (height + SPACE) for row in range(sheet.rows)]
    foot = (LETTERS + 8 if any(sheet.column_names) else 0) + edge
    size = (tops[-1] + height + foot, lefts[-1] + width + edge)
    paper: Pixels = np.full((*size, images.shape[1]), PAPER, np.uint8)
    for place, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        top, at = tops[place // sheet.columns], lefts[place % sheet.columns]
        paper[top : top + height, at : at + width] = image
    if named:
        paper = _named(paper, sheet, [x + width / 2 for x in lefts], [y + height / 2 for y in tops])
    return torch.from_numpy(paper).permute(2, 0, 1)


def _scale(sheet: Sheet) -> int:
    """By how much images are enlarged: a whole number, so that pixels stay pixels."""
    width, longer = sheet.images.shape[-1], max(sheet.images.shape[-2:])
    height = sheet.images.shape[-2]
    room = min(
        WIDEST // (sheet.columns * (width + SPACE)), TALLEST // (sheet.rows * (height + SPACE))
    )
    return max(1, min(-(-CELL // longer), room))


def _named(
    paper: Pixels,
    sheet: Sheet,
    columns: Sequence[float],
    rows: Sequence[float],
) -> Pixels:
    """The paper with the names set; ``columns`` and ``rows`` are the centres of the images."""
    channels = paper.shape[2]
    picture = Image.fromarray(paper[..., 0] if channels == 1 else paper)
    draw = ImageDraw.Draw(picture)
    ink: int | tuple[int, ...] = WORDS if channels == 1 else (WORDS,) * channels
    font = ImageFont.load_default(LETTERS)
    for name, y in zip(sheet.row_names, rows, strict=True) if sheet.row_names else ():
        draw.text((EDGE + _widest(sheet.row_names, font) - 8, y), name, ink, font, "rm")
    names = sheet.column_names
    for place in _with_room(names, columns, font):
        draw.text((columns[place], picture.height - EDGE), names[place], ink, font, "mb")
    return np.array(picture).reshape(paper.shape)


def _with_room(names: Sequence[str], columns: Sequence[float], font: Font) -> range:
    """The columns whose names are set: every one, or each n-th where they would touch."""
    if not any(names):
        return range(0)
    step = columns[1] - columns[0] if len(columns) > 1 else 1e9
    widest = max(map(font.getlength, names))
    neighbours = any(a and b for a, b in pairwise(names))
    apart = int(-(-(widest + 6) // step)) if neighbours else 1
    # From the middle, so that a range about 0 has its 0.
    return range(len(names) // 2 % apart, len(names), apart)


def _widest(names: Sequence[str], font: Font) -> int:
    """Pixels that the names of rows take, with the space after them."""
    return round(max(map(font.getlength, names), default=0)) + 8 if any(names) else 0
