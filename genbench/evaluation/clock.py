"""Measure the seconds of a block, with the device synchronized at both ends."""

from __future__ import annotations

import time

import torch

from genbench.engine.device import synchronize


class Timed:
    """Adds the seconds of a block to ``seconds[key]``."""

    def __init__(self, seconds: dict[str, float], key: str, device: torch.device) -> None:
        self._seconds, self._key, self._device = seconds, key, device

    def __enter__(self) -> None:
        synchronize(self._device)
        self._start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        synchronize(self._device)
        spent = time.perf_counter() - self._start
        self._seconds[self._key] = self._seconds.get(self._key, 0.0) + spent
