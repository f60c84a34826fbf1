"""One forward pass for all metrics that use the same network.

The metrics of a run get the same minibatch one after another. Seven scores on Inception features
would need seven passes through that network [0.1 s per image on one CPU core]. So the extractors
share networks, and each network keeps its outputs for the last minibatch.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary, ref

from torch import Tensor

Outputs = tuple[Tensor, ...]


class SharedNetwork:
    """A frozen network that keeps its outputs for the last minibatch.

    Minibatches are compared by identity, so they must not be changed in place.
    """

    def __init__(self, run: Callable[[Tensor], Outputs]) -> None:
        self._run = run
        self._last: tuple[ref[Tensor], Outputs] | None = None

    def outputs(self, samples: Tensor) -> Outputs:
        """The outputs for a minibatch."""
        if self._last is not None and self._last[0]() is samples:
            return self._last[1]
        made = self._run(samples)
        self._last = ref(samples), made
        return made


_LIVING: WeakValueDictionary[str, SharedNetwork] = WeakValueDictionary()


def shared_network(key: str, build: Callable[[], Callable[[Tensor], Outputs]]) -> SharedNetwork:
    """The network of ``key`` (weights and device), if an extractor uses it, else a new one."""
    network = _LIVING.get(key)
    if network is None:
        network = _LIVING[key] = SharedNetwork(build())
    return network
