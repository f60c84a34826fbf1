"""Nearest neighbours by brute force, in chunks, so that memory grows with n, not n squared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from sklearn.metrics.pairwise import euclidean_distances
from torch import Tensor

CHUNK = 1000
"""Rows of a distance matrix in memory at once: 40 MB for 10,000 points."""


def squared_distances(points: Tensor, others: Tensor) -> Iterator[Tensor]:
    """Rows of the squared Euclidean distances (len(points), len(others)), `CHUNK` at a time.

    They are those of `torch.cdist` before its root, to the last bit: one matrix product in float32,
    in which 0 may be a small negative number. Every chunk is in the same memory, so use it before
    the next one is made [new memory for each takes as long as the product].
    """
    norms = others.square().sum(1, keepdim=True)
    others = torch.cat((others, torch.ones_like(norms), norms), 1)
    space = others.new_empty(min(CHUNK, len(points)), len(others))
    for part in torch.split(points, CHUNK):
        norms = part.square().sum(1, keepdim=True)
        part = torch.cat((part * -2, norms, torch.ones_like(norms)), 1)
        yield torch.mm(part, others.T, out=space[: len(part)])


def careful_distances(points: Tensor, others: Tensor) -> Iterator[Tensor]:
    """Euclidean distances by scikit-learn, which multiplies in float64, as in `prdc`."""
    other = others.numpy()
    for part in torch.split(points, CHUNK):
        yield torch.from_numpy(euclidean_distances(part.numpy(), other))


def radii(rows: Iterable[Tensor], k: int) -> Tensor:
    """The distance of each point to its k-th neighbour, (n,), from its distances to all points.

    The point itself, at distance 0, doesn't count. Squared distances give the squared radii.
    """
    return torch.cat([smallest(part, k + 1) for part in rows])


def smallest(rows: Tensor, k: int) -> Tensor:
    """The k-th smallest value of each row (n, m), (n,).

    The k smallest values of a row lie in the k blocks with the smallest minima. Only these are
    sorted [281 ms by `torch.kthvalue` for 1,000 rows of 10,000 and k = 4, 15 ms in blocks of 100].
    """
    width = math.isqrt(rows.shape[1])
    count = rows.shape[1] // max(1, width)
    blocks = torch.unflatten(rows[:, : count * width], 1, (count, width))
    minima = blocks.amin(2)
    if count <= k or bool(minima.isnan().any()):
        return rows.kthvalue(k, dim=1).values
    near = minima.topk(k, dim=1, largest=False).indices
    chosen = blocks.take_along_dim(near.unsqueeze(2), 1).flatten(1)
    few = torch.cat((chosen, rows[:, count * width :]), 1)
    return few.kthvalue(k, dim=1).values


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest neighbours of each query: indices in the set and distances, both (n, k)."""

    places: Tensor
    distances: Tensor


class NeighbourSearch:
    """The k nearest neighbours of queries (n, d), in a set that is passed in chunks.

    Each chunk needs one matrix product; the distances of the neighbours are then computed again,
    since the product is too imprecise to distinguish a copy from a similar point.
    """

    def __init__(self, queries: Tensor, k: int) -> None:
        self._queries, self._k, self._seen = queries, k, 0
        self._squares = queries.square().sum(1, keepdim=True)
        self._places = torch.zeros((len(queries), 0), dtype=torch.int64)
        self._measured = torch.zeros((len(queries), 0))

    def update(self, chunk: Tensor) -> None:
        """Add the next points (b, d) of the set."""
        squared = torch.addmm(chunk.square().sum(1), self._queries, chunk.T, alpha=-2)
        squared += self._squares
        near = squared.topk(min(self._k, len(chunk)), largest=False)
        exact = _measured(self._queries, chunk, near.indices)
        found = torch.cat([self._measured, exact], 1)
        places = torch.cat([self._places, near.indices + self._seen], 1)
        kept = found.topk(min(self._k, found.shape[1]), largest=False)
        self._measured, self._places = kept.values, places.gather(1, kept.indices)
        self._seen += len(chunk)

    def found(self) -> Neighbours:
        """The neighbours among all points so far, the nearest first."""
        return Neighbours(places=self._places, distances=self._measured)


def neighbours(queries: Tensor, chunks: Iterable[Tensor], k: int) -> Neighbours:
    """The k nearest neighbours in a set that is given in chunks."""
    search = NeighbourSearch(queries, k)
    for chunk in chunks:
        search.update(chunk)
    return search.found()


def _measured(queries: Tensor, chunk: Tensor, places: Tensor) -> Tensor:
    """Distances (n, k), computed from differences."""
    columns = [(queries - chunk[column]).square().sum(1) for column in places.T]
    return torch.stack(columns, 1).sqrt()
