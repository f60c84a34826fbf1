"""A scatter picture: samples in the plane over the data, as one RGB image.

Drawn with numpy at the picture's own resolution: each disc has a soft edge, and discs of one layer
are laid over each other as translucent ink is, whatever their order. So a crowd is darker than a
stray, and ten thousand points take some 50 ms. Pillow sets the few words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 560
"""Pixels of a picture's side."""

LEFT, RIGHT, TOP, BOTTOM = 44, 16, 36, 24
"""Pixels between the picture's edge and the plane; LEFT + RIGHT = TOP + BOTTOM: it is square."""

MARGIN = 0.08
"""Of the data's larger extent, left free around it."""

Array = np.ndarray[Any, Any]
Colour = tuple[int, int, int]

PAPER, FRAME, GRID_LINE, WORDS = (255, 255, 255), (190, 190, 190), (238, 238, 238), (95, 95, 95)


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How a layer's points are drawn: radius in pixels, opacity of one disc."""

    colour: Colour
    radius: float
    opacity: float


DATA_INK = Ink(colour=(150, 154, 160), radius=1.8, opacity=0.45)
SAMPLE_INK = Ink(colour=(194, 65, 12), radius=1.7, opacity=0.5)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The square part of the plane that is shown, (x, y) of its centre and half its side."""

    centre: tuple[float, float]
    half: float

    def pixels(self, points: Array) -> Array:
        """Pixel positions (n, 2) of points (n, 2), columns and rows; y points up."""
        scale = (SIDE - LEFT - RIGHT) / (2 * self.half)
        column = LEFT + (points[:, 0] - self.centre[0] + self.half) * scale
        row = TOP + (self.half - points[:, 1] + self.centre[1]) * scale
        return np.stack((column, row), axis=1)

    def inside(self, points: Array) -> Array:
        """Which points are shown, (n,) bool."""
        inside: Array = (np.abs(points - np.array(self.centre)) <= self.half).all(axis=1)
        return inside


def plane_of(data: Array) -> Plane:
    """A square around the data with a margin: equal aspect, whatever the samples are."""
    low, high = data.min(axis=0), data.max(axis=0)
    centre = (low + high) / 2
    extent = float((high - low).max()) or 1.0
    return Plane(centre=(float(centre[0]), float(centre[1])), half=extent * (0.5 + MARGIN))


def scatter(samples: Array, data: Array) -> Array:
    """Samples (n, 2) over data (m, 2), both float: RGB uint8 (SIDE, SIDE, 3).

    The plane is the data's, so that pictures of one data set can be compared. Samples beyond it,
    or not finite, are not drawn but counted in the caption.
    """
    plane = plane_of(data)
    shown = samples[np.isfinite(samples).all(axis=1)]
    shown = shown[plane.inside(shown)]
    sheet = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw_axes(draw, plane)
    pixels = np.asarray(sheet, dtype=np.float64)
    pixels = laid_over(pixels, plane.pixels(data), DATA_INK)
    pixels = laid_over(pixels, plane.pixels(shown), SAMPLE_INK)
    sheet = Image.fromarray(np.rint(pixels).astype(np.uint8))
    _caption(ImageDraw.Draw(sheet), len(samples), len(samples) - len(shown))
    return np.array(sheet)


def laid_over(pixels: Array, places: Array, ink: Ink, colours: Array | None = None) -> Array:
    """The picture with a disc of ink at each place (column, row).

    Where discs overlap light is lost as a product, so their logarithms are summed. Discs may have
    ``colours`` (n, 3) of their own in place of the ink's: they mix by the light that each takes.
    """
    reach = math.ceil(ink.radius + 0.5)
    corner = np.floor(places).astype(int) - reach
    steps = np.arange(2 * reach + 2)
    columns = corner[:, 0, None, None] + steps[None, None, :]
    rows = corner[:, 1, None, None] + steps[None, :, None]
    away = np.hypot(columns + 0.5 - places[:, 0, None, None], rows + 0.5 - places[:, 1, None, None])
    covered = np.clip(ink.radius + 0.5 - away, 0, 1)
    columns, rows = np.broadcast_arrays(columns, rows)
    on_paper = (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    where, takes = (rows * SIDE + columns)[on_paper], -np.log1p(-ink.opacity * covered[on_paper])
    lost = np.bincount(where, weights=takes, minlength=SIDE * SIDE)
    colour: Array = np.array(ink.colour)
    if colours is not None:
        disc = np.nonzero(on_paper)[0]
        shares = [
            np.bincount(where, weights=takes * part[disc], minlength=SIDE * SIDE)
            for part in colours.T
        ]
        mixed = np.stack(shares, axis=1) / np.maximum(lost, 1e-12)[:, None]
        colour = mixed.reshape(SIDE, SIDE, 3)
    passed = np.exp(-lost).reshape(SIDE, SIDE, 1)
    over: Array = pixels * passed + colour * (1 - passed)
    return over


def draw_axes(draw: ImageDraw.ImageDraw, plane: Plane) -> None:
    """A faint grid with its numbers, and the frame."""
    font = ImageFont.load_default(12)
    left, top, right, bottom = LEFT, TOP, SIDE - RIGHT, SIDE - BOTTOM
    for axis in (0, 1):
        values = ticks(plane.centre[axis] - plane.half, plane.centre[axis] + plane.half)
        for value, (column, row) in zip(
            values, plane.pixels(np.array([[v, v] for v in values])), strict=True
        ):
            if axis == 0:
                draw.line((column, top, column, bottom), fill=GRID_LINE)
                draw.text((column, bottom + 6), f"{value:g}", WORDS, font, "mt")
            else:
                draw.line((left, row, right, row), fill=GRID_LINE)
                draw.text((left - 8, row), f"{value:g}", WORDS, font, "rm")
    draw.rectangle((left, top, right, bottom), outline=FRAME)


def ticks(low: float, high: float, about: int = 7) -> list[float]:
    """Round numbers within [low, high], a step of 1, 2 or 5 times a power of ten.

    >>> ticks(-2.4, 2.4)
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= about)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 12) + 0.0 for number in range(first, last + 1)]


def _caption(draw: ImageDraw.ImageDraw, count: int, beyond: int) -> None:
    """What the two inks are, above the plane."""
    font, row, column = ImageFont.load_default(13), TOP / 2 + 1, float(LEFT)
    text = f"{count:,} samples" + (f", {beyond:,} beyond the frame" if beyond else "")
    for words, ink in (("data", DATA_INK), (text, SAMPLE_INK)):
        draw.ellipse((column, row - 4, column + 8, row + 4), fill=ink.colour)
        draw.text((column + 14, row), words, WORDS, font, "lm")
        column += 14 + draw.textlength(words, font) + 22
