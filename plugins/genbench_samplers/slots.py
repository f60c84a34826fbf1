"""Assign accepted proposals to the requested samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor


class Slots:
    """``n`` ordered slots, each for a sample of one class; without labels there is one class.

    An accepted sample takes the first open slot of its class, so that samples match the requested
    labels, and rejected samples are replaced by samples of the same class. Samples of a class are
    yielded in the order in which they were accepted.
    """

    def __init__(self, n: int, labels: Tensor | None) -> None:
        self._labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels.cpu()
        self._labelled = labels is not None
        self._open: dict[int, deque[int]] = {}
        for place, label in enumerate(self._labels.tolist()):
            self._open.setdefault(label, deque()).append(place)
        self._filled: dict[int, Tensor] = {}
        self._next = 0
        self.n, self.open = n, n

    def wanted(self, size: int) -> Tensor | None:
        """Labels (size,) of the first open slots, repeated if there are fewer."""
        if not self._labelled:
            return None
        places = sorted(place for queue in self._open.values() for place in list(queue)[:size])
        chosen = torch.tensor(places[:size])
        return self._labels[chosen[torch.arange(size) % len(chosen)]]

    def put(self, h: Tensor, y: Tensor | None) -> None:
        """Add accepted samples (k, ...) of classes ``y``; drop those without an open slot."""
        labels = [0] * len(h) if y is None else y.tolist()
        for sample, label in zip(h, labels, strict=True):
            if self._open[label]:
                self._filled[self._open[label].popleft()] = sample
                self.open -= 1

    def ready(self, size: int) -> Iterator[Tensor]:
        """The next complete minibatches (size, ...) in order; the last one may be smaller."""
        while self._next < self.n:
            places = range(self._next, min(self._next + size, self.n))
            if any(place not in self._filled for place in places):
                return
            yield torch.stack([self._filled.pop(place) for place in places])
            self._next = places.stop

    def rest(self) -> tuple[tuple[int, ...], Tensor | None]:
        """The indices of all filled slots, and the samples that were not yielded yet, in order."""
        places = sorted(self._filled)
        h = torch.stack([self._filled[place] for place in places]) if places else None
        return (*range(self._next), *places), h
