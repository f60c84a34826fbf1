"""Where the data lies in a latent space: its codes, and two dimensions to see them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class View:
    """Codes (N, 1) or (N, 2) to draw, and the names of their axes."""

    places: Array
    axes: tuple[str, ...]


def view_of(codes: Array) -> View:
    """Codes (N, *code) as they are with one or two dimensions, else their two principal ones.

    The axes of principal components say how much of the variance each has.
    """
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    if flat.shape[1] <= 2:
        return View(places=flat, axes=tuple(f"z{dim}" for dim in range(flat.shape[1])))
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=0)
    places = pca.fit_transform(flat)
    first, second = (f"{share:.0%}" for share in pca.explained_variance_ratio_)
    names = (
        f"first principal component ({first} of the variance of {flat.shape[1]:,} dimensions)",
        f"second principal component ({second})",
    )
    return View(places=places, axes=names)
