"""Which of the samples asked for an accepted proposal becomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor


class Slots:
    """``n`` places in order, each for a sample of one class; without labels all are alike.

    An accepted sample takes the first open place of its class, so samples stay beside the labels
    they were asked for, and what was refused is tried again for the same class. Samples of a class
    are handed out in the order in which they were accepted, which favours none.
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
        """Labels (size,) of the first open places, again from the first where there are fewer."""
        if not self._labelled:
            return None
        places = sorted(place for queue in self._open.values() for place in list(queue)[:size])
        chosen = torch.tensor(places[:size])
        return self._labels[chosen[torch.arange(size) % len(chosen)]]

    def put(self, h: Tensor, y: Tensor | None) -> None:
        """Take accepted samples (k, ...) of the classes ``y``; more than are open are left out."""
        labels = [0] * len(h) if y is None else y.tolist()
        for sample, label in zip(h, labels, strict=True):
            if self._open[label]:
                self._filled[self._open[label].popleft()] = sample
                self.open -= 1

    def ready(self, size: int) -> Iterator[Tensor]:
        """The next minibatches (size, ...) in order, each once it is full; the last may be less."""
        while self._next < self.n:
            places = range(self._next, min(self._next + size, self.n))
            if any(place not in self._filled for place in places):
                return
            yield torch.stack([self._filled.pop(place) for place in places])
            self._next = places.stop

    def rest(self) -> tuple[tuple[int, ...], Tensor | None]:
        """What is filled but not handed out, in order, and the places of all that is by then."""
        places = sorted(self._filled)
        h = torch.stack([self._filled[place] for place in places]) if places else None
        return (*range(self._next), *places), h
