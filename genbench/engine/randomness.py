"""Seeds and the states of the generators, which make a run reproducible.

Law: each use of randomness either draws from the global stream of the run, which checkpoints
include, or from a seed derived from (seed, purpose), so that leaving one out affects no other.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), NumPy's global generator and Python's."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, such as ("order", stage, epoch); independent of all others."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def cpu_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded by `derive_seed`; its numbers don't depend on the run's device."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def rng_state(device: torch.device) -> dict[str, Any]:
    """The states of the global generators, as plain values and tensors."""
    numpy: Any = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(numpy[1].astype(np.int64)), *numpy[2:]),
        "cpu": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the generators; a state from another kind of device doesn't affect this device."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def forked_rng(device: torch.device) -> Iterator[None]:
    """Restore the global generators afterwards, so that draws inside don't affect the run."""
    state = rng_state(device)
    try:
        yield
    finally:
        set_rng_state(state, device)
