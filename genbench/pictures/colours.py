"""Colours for classes that people can tell apart, those who see few colours too."""

from __future__ import annotations

from colorsys import hls_to_rgb

Colour = tuple[int, int, int]

TEN: tuple[Colour, ...] = (
    (51, 34, 136),
    (136, 204, 238),
    (17, 119, 51),
    (204, 102, 119),
    (170, 68, 153),
    (68, 170, 153),
    (238, 119, 51),
    (153, 153, 51),
    (136, 34, 85),
    (221, 204, 119),
)
"""The nine of Paul Tol's "muted" scheme (Colour Schemes, SRON/EPS/TN/09-002), made to be told apart
with any kind of vision, and the orange of his "vibrant" one."""

GOLDEN = 0.618034
"""Of the circle of hues from one class to the next, where there are more than ten."""


def class_colours(count: int) -> list[Colour]:
    """A colour for each class: the ten, or as many hues at three lightnesses."""
    if count <= len(TEN):
        return list(TEN[:count])
    return [_hue(number) for number in range(count)]


def _hue(number: int) -> Colour:
    lightness = (0.42, 0.6, 0.3)[number % 3]
    red, green, blue = hls_to_rgb(number * GOLDEN % 1, lightness, 0.75)
    return round(red * 255), round(green * 255), round(blue * 255)
