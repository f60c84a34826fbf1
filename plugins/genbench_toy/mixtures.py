"""gaussians-25 and gaussians-8: equal mixtures of isotropic Gaussians, labelled by their mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from genbench import Data, DataAccess
from genbench_toy.points import Drawn, drawn_data
from genbench_toy.toy_settings import GRID, Gaussians8Settings, Gaussians25Settings

Array = np.ndarray[Any, Any]


class Gaussians25:
    """The data set ``gaussians-25``: float32 (2,), mode ``5 row + column`` of a 5x5 grid."""

    def __init__(self, settings: Gaussians25Settings) -> None:
        self.settings = settings

    def centres(self) -> Array:
        """The modes' centres (25, 2), around 0."""
        grid = np.array([(x, y) for y in GRID for x in GRID], dtype=float)
        return grid * self.settings.spacing

    def load(self, access: DataAccess) -> Data:
        """Draw the points."""
        centres, std = self.centres(), self.settings.std
        return drawn_data(self.settings, access, lambda order, n: mixture(centres, std, order, n))


class Gaussians8:
    """The data set ``gaussians-8``: float32 (2,), modes counted anticlockwise from the right."""

    def __init__(self, settings: Gaussians8Settings) -> None:
        self.settings = settings

    def centres(self) -> Array:
        """The modes' centres (8, 2), around 0."""
        angles = np.arange(8) * (2 * np.pi / 8)
        return self.settings.radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)

    def load(self, access: DataAccess) -> Data:
        """Draw the points."""
        centres, std = self.centres(), self.settings.std
        return drawn_data(self.settings, access, lambda order, n: mixture(centres, std, order, n))


def mixture(centres: Array, std: float, order: np.random.RandomState, n: int) -> Drawn:
    """``n`` independent points (n, D) of an equal mixture, and the mode (n,) of each."""
    modes = order.randint(len(centres), size=n, dtype=np.int64)
    return centres[modes] + std * order.standard_normal((n, centres.shape[1])), modes
