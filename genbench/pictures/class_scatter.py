"""Points in the plane by class, as one RGB image.

Every class has its colour, its line in the legend and its name in its midst, so that colour is
never the only key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genbench.pictures.colours import Colour, class_colours
from genbench.pictures.scatter import (
    DATA_INK,
    LEFT,
    PAPER,
    RIGHT,
    SIDE,
    TOP,
    WORDS,
    Ink,
    Plane,
    draw_axes,
    laid_over,
    plane_of,
)

Array = np.ndarray[Any, Any]

AXIS = 24
"""Pixels beside the plane for the name of an axis."""

MIDDLE = (0.002, 0.998)
"""Quantiles of each axis that the frame holds: one stray point must not shrink all others."""

LAYERS = 12
"""Random groups in which points are laid over each other, so that no class covers another."""

NAMED, LEGEND = 12, 24
"""Classes that are named among their points, and in the legend, at most."""

FEW = 1_500
"""Points below which they are drawn larger."""

RADIUS, LARGER, OPACITY = 1.9, 3.2, 0.7


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The class of each point, int (n,), and what each is called; ``names`` of none is empty."""

    labels: Array
    names: Sequence[str]

    @property
    def colours(self) -> list[Colour]:
        """One each."""
        return class_colours(len(self.names))


def class_scatter(points: Array, axes: tuple[str, str], classes: Classes | None) -> Array:
    """Points (n, 2) in their own unit, both axes of one scale: RGB uint8 (H, W, 3)."""
    low, high = np.quantile(points, MIDDLE, axis=0)
    plane = plane_of(np.clip(points, low, high))
    inside = plane.inside(points)
    square = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw_axes(ImageDraw.Draw(square), plane)
    pixels = np.asarray(square, dtype=np.float64)
    pixels = _inked(pixels, plane.pixels(points[inside]), _of(classes, inside))
    square = Image.fromarray(np.rint(pixels).astype(np.uint8))
    if classes is not None and len(classes.names) <= NAMED:
        _names_amidst(ImageDraw.Draw(square), plane, points[inside], _of(classes, inside))
    beyond = len(points) - int(inside.sum())
    caption = f"{len(points):,} test samples" + (f", {beyond:,} beyond the frame" if beyond else "")
    return framed(square, axes, classes, caption)


def _inked(pixels: Array, places: Array, classes: Classes | None) -> Array:
    """The picture with a disc at each place (column, row), in the colour of its class."""
    if classes is None:
        return laid_over(pixels, places, DATA_INK)
    radius = RADIUS if len(places) > FEW else LARGER
    ink = Ink(colour=DATA_INK.colour, radius=radius, opacity=OPACITY)
    colours = np.array(classes.colours, dtype=np.float64)[classes.labels]
    # In groups: colours mix within one, and so stay clear where classes lie over each other.
    for group in np.array_split(np.random.default_rng(0).permutation(len(places)), LAYERS):
        pixels = laid_over(pixels, places[group], ink, colours[group])
    return pixels


def _names_amidst(
    draw: ImageDraw.ImageDraw, plane: Plane, points: Array, classes: Classes | None
) -> None:
    """The name of each class at the median of its points, on a white rim."""
    if classes is None:
        return
    font = ImageFont.load_default(15)
    for label, name in enumerate(classes.names):
        own = points[classes.labels == label]
        if len(own):
            [place] = plane.pixels(np.median(own, axis=0)[None])
            draw.text(
                tuple(place), name, (30, 30, 30), font, "mm", stroke_width=3, stroke_fill=PAPER
            )


def framed(
    square: Image.Image, axes: tuple[str, str], classes: Classes | None, caption: str
) -> Array:
    """The plane with the names of its axes, a caption above it and the legend beside it."""
    font = ImageFont.load_default(12)
    names = [] if classes is None else _listed(classes.names)
    legend = round(34 + max(map(font.getlength, names))) if names else 0
    sheet = Image.new("RGB", (AXIS + SIDE + legend, SIDE + AXIS), PAPER)
    sheet.paste(square, (AXIS, 0))
    draw = ImageDraw.Draw(sheet)
    middle = LEFT + (SIDE - LEFT - RIGHT) / 2
    draw.text((AXIS + middle, SIDE + AXIS / 2 - 2), axes[0], WORDS, font, "mm")
    draw.text((AXIS + LEFT, TOP / 2 + 2), caption, WORDS, font, "lm")
    upright = Image.new("RGB", (SIDE, AXIS), PAPER)
    ImageDraw.Draw(upright).text((SIDE - middle, AXIS / 2), axes[1], WORDS, font, "mm")
    sheet.paste(upright.rotate(90, expand=True), (4, 0))
    colours = [] if classes is None else classes.colours
    for place, name in enumerate(names):
        left, row = AXIS + SIDE + 2, TOP + 10 + 20 * place
        if place < len(colours) and place < LEGEND:
            draw.ellipse((left, row - 5, left + 10, row + 5), fill=colours[place])
        draw.text((left + 18, row), name, WORDS, font, "lm")
    return np.array(sheet)


def _listed(names: Sequence[str]) -> list[str]:
    """The names of the legend; where there are too many, how many more."""
    if len(names) <= LEGEND:
        return list(names)
    return [*names[:LEGEND], f"and {len(names) - LEGEND} more"]


def _of(classes: Classes | None, chosen: Array) -> Classes | None:
    return classes and Classes(labels=classes.labels[chosen], names=classes.names)
