"""Values along one axis by class, as one RGB image: the density of each class, in its own row."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genbench.pictures.class_scatter import AXIS, MIDDLE, Array, Classes, framed
from genbench.pictures.colours import Colour
from genbench.pictures.scatter import (
    DATA_INK,
    FRAME,
    GRID_LINE,
    LEFT,
    PAPER,
    RIGHT,
    SIDE,
    TOP,
    WORDS,
    ticks,
)

BINS, BELL = 180, 2.0
"""Bins of a histogram, and the standard deviation, in bins, of the bell that smooths it."""

FINE = 3
"""Drawn so many times too large and made smaller, which smooths the edges."""

OVERLAP = 1.7
"""Rows that the highest ridge reaches up through; the one row that there is, it fills."""

MARGIN = 0.04

Box = tuple[float, float, float, float]


def class_ridgelines(values: Array, axis: str, classes: Classes | None) -> Array:
    """Values (n,) along one axis: RGB uint8 (H, W, 3). All ridges have one scale."""
    low, high = _extent(values)
    box = (LEFT, TOP, SIDE - RIGHT, SIDE - AXIS)
    sheet = Image.new("RGB", (SIDE * FINE, SIDE * FINE), PAPER)
    draw = ImageDraw.Draw(sheet)
    numbers = ticks(low, high)
    columns = [box[0] + (n - low) / (high - low) * (box[2] - box[0]) for n in numbers]
    for column in columns:
        draw.line(_fine([(column, box[1]), (column, box[3])]), GRID_LINE, FINE)
    groups, colours = [values], [DATA_INK.colour]
    if classes is not None:
        groups = [values[classes.labels == label] for label in range(len(classes.names))]
        colours = classes.colours
    edges = np.linspace(low, high, BINS + 1)
    _draw_ridges(draw, np.stack([_density(group, edges) for group in groups]), colours, box)
    square = sheet.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    words, font = ImageDraw.Draw(square), ImageFont.load_default(12)
    for number, column in zip(numbers, columns, strict=True):
        words.text((column, box[3] + 6), f"{number:g}", WORDS, font, "mt")
    return framed(square, (axis, ""), classes, f"{len(values):,} test samples")


def _extent(values: Array) -> tuple[float, float]:
    low, high = map(float, np.quantile(values, MIDDLE))
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def _density(values: Array, edges: Array) -> Array:
    """A smoothed histogram (bins,), the share of the values in each bin."""
    counts, _ = np.histogram(values, edges)
    steps = np.arange(-3 * BELL, 3 * BELL + 1)
    bell = np.exp(-0.5 * (steps / BELL) ** 2)
    smooth: Array = np.convolve(counts / max(1, len(values)), bell / bell.sum(), mode="same")
    return smooth


def _draw_ridges(
    draw: ImageDraw.ImageDraw, densities: Array, colours: list[Colour], box: Box
) -> None:
    """Densities (rows, bins) from the top row down, each over the one above it."""
    left, top, right, bottom = box
    row = (bottom - top) / (len(densities) + (OVERLAP - 1 if len(densities) > 1 else 0))
    height = row * (OVERLAP if len(densities) > 1 else 0.95)
    heights = densities / (densities.max() or 1.0) * height
    across = np.linspace(left, right, densities.shape[1])
    for place, colour in enumerate(colours):
        base = bottom - row * (len(densities) - 1 - place)
        ridge = [(x, base - y) for x, y in zip(across, heights[place], strict=True)]
        draw.polygon(_fine([(left, base), *ridge, (right, base)]), fill=_washed(colour))
        draw.line(_fine([(left, base), (right, base)]), fill=FRAME, width=FINE)
        draw.line(_fine(ridge), fill=colour, width=2 * FINE, joint="curve")


def _fine(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * FINE, y * FINE) for x, y in places]


def _washed(colour: Colour) -> Colour:
    """The colour as on a thin wash."""
    red, green, blue = (round(255 - (255 - part) * 0.4) for part in colour)
    return red, green, blue
