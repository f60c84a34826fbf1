"""Devices: names, precision, synchronization and memory.

Precision: ``fp32`` runs with PyTorch's own defaults (matrix products in full fp32; cuDNN may take
TF32 for convolutions on Ampere and later); ``bf16`` is autocast around the losses, while weights,
optimizer states and the sums of the loss terms stay fp32.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from genbench.errors import DeviceError, SettingError
from genbench.spec import device_names

PRECISIONS = ("fp32", "bf16")
AUTO = "auto"
"""The device or the precision that suits this machine."""


def resolve_device(name: str) -> torch.device:
    """The device for a name: ``auto|cpu|cuda|cuda:N|mps``, the first of several (``cuda:0,1``).

    ``auto`` is the first CUDA device, else mps, else the CPU. Raises DeviceError, with the
    available devices, for a device that this machine or this PyTorch doesn't have.
    """
    present = _present()
    if len(device_names(name)) > 1:
        return resolve_devices(name)[0]
    if name == AUTO:
        preferred = (kind for kind in ("cuda:0", "mps", "cpu") if kind in present)
        return torch.device(next(preferred))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted in present:
        return torch.device(wanted)
    seen = f"this PyTorch ({torch.__version__}) sees: {', '.join(present)}"
    kind, _, index = name.partition(":")
    if (kind == "cuda" and (not index or index.isdecimal())) or name == "mps":
        what = f"no device '{name}' here" if index else f"no {_TITLES[kind]} device here"
        raise DeviceError(f"{what}; {seen}. Use --device {present[0]} or auto.")
    raise DeviceError(f"unknown device '{name}'; use auto, cpu, cuda, cuda:N or mps; {seen}.")


def resolve_devices(names: str) -> tuple[torch.device, ...]:
    """The devices of the processes of a run: one, or several for ``cuda:0,1`` or ``cpu:0,1``.

    On the CPU, a number only names a process. Raises DeviceError as `resolve_device`.
    """
    found = device_names(names)
    if len({*found}) < len(found):
        raise DeviceError(f"--device {names} names a device twice; name each of them once.")
    cpu = len(found) > 1 and names.startswith("cpu:")
    return tuple(resolve_device("cpu" if cpu else name) for name in found)


def autocast(
    device: torch.device, precision: str, cache: bool = True
) -> AbstractContextManager[object]:
    """The context in which losses are computed. Raises SettingError for an unknown precision.

    Without ``cache``, a weight is cast at each use, as a CUDA graph needs.
    """
    if precision not in PRECISIONS:
        raise unknown_precision(precision)
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=cache)


def unknown_precision(name: str) -> SettingError:
    """The error for an unknown precision."""
    return SettingError(f"unknown precision '{name}'; use {' or '.join(PRECISIONS)}.")


def synchronize(device: torch.device) -> None:
    """Wait until all work on the device is done, so that a clock measures it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> int:
    """Peak memory of tensors on a CUDA device, else the peak RSS of the process, in bytes.

    Returns 0 on a platform without this information (Windows without CUDA).
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def load_average() -> float | None:
    """The machine's 1-minute load average; None on a platform that has none (Windows)."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


_TITLES = {"cuda": "CUDA", "mps": "MPS"}


def _present() -> list[str]:
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names
