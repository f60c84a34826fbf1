"""One forward pass for all metrics that look through the same network.

A run's metrics are shown the same minibatch one after another. Seven scores on Inception features
would send it through that network seven times [0.16 s an image on one CPU core]. So the networks
of living extractors are shared, and each keeps what it made of the last minibatch.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary, ref

from torch import Tensor

Outputs = tuple[Tensor, ...]


class SharedNetwork:
    """A frozen network that remembers the outputs for the last minibatch it was shown.

    A minibatch is told by being the same object, so it must not be changed in place in between.
    """

    def __init__(self, run: Callable[[Tensor], Outputs]) -> None:
        self._run = run
        self._last: tuple[ref[Tensor], Outputs] | None = None

    def outputs(self, samples: Tensor) -> Outputs:
        """What the network makes of a minibatch."""
        if self._last is not None and self._last[0]() is samples:
            return self._last[1]
        made = self._run(samples)
        self._last = ref(samples), made
        return made


_LIVING: WeakValueDictionary[str, SharedNetwork] = WeakValueDictionary()


def shared_network(key: str, build: Callable[[], Callable[[Tensor], Outputs]]) -> SharedNetwork:
    """The network of ``key`` (weights and device) that some extractor holds, else a new one."""
    network = _LIVING.get(key)
    if network is None:
        network = _LIVING[key] = SharedNetwork(build())
    return network
