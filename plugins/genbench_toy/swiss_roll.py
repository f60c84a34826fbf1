"""swiss-roll: a noisy spiral with one and a half turns, without modes or labels.

These are the first and last coordinates of scikit-learn's ``make_swiss_roll``, divided by 7.5 as in
the code of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028). They are drawn here, so that no
release of scikit-learn can change the points.
"""

from __future__ import annotations

import numpy as np

from genbench import Data, DataAccess
from genbench_toy.points import Drawn, drawn_data
from genbench_toy.toy_settings import SwissRollSettings


class SwissRoll:
    """The data set ``swiss-roll``, float32 (2,) within about [-1.3, 1.9], unlabelled."""

    def __init__(self, settings: SwissRollSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Draw the points."""
        return drawn_data(self.settings, access, self._draw)

    def _draw(self, order: np.random.RandomState, n: int) -> Drawn:
        """t ~ U(1.5 pi, 4.5 pi); (t cos t, t sin t) and normal noise, scaled."""
        t = 1.5 * np.pi * (1 + 2 * order.random_sample(n))
        roll = np.stack((t * np.cos(t), t * np.sin(t)), axis=1)
        noisy = roll + self.settings.noise * order.standard_normal((n, 2))
        return noisy / self.settings.scale, None
