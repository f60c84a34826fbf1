"""The places of a worker: how many commands it runs at a time, and on which device each of them.

The GPUs are counted without torch, since its import takes a second.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import DeviceError
from genbench.formatting import counted
from genbench.spec import DEVICE

KINDS = ("auto", "cpu", "cuda", "mps")
IS_MAC = sys.platform == "darwin"
AMD = Path("/dev/kfd")
"""AMD's GPUs are called cuda, too; they are not counted here, so PyTorch is the first to say no."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one command at a time. ``device`` None: the one that the task asks for."""

    device: str | None
    kinds: tuple[str, ...]
    """The kinds of devices that its tasks need."""

    def flags(self, needed: str) -> tuple[str, ...]:
        """``--device`` for a command of a task that needs this kind of device."""
        device = self.device or (None if needed == "auto" else needed)
        return () if device is None else ("--device", device)


def slots_for(devices: Sequence[str], jobs: int | None, environ: Mapping[str, str]) -> list[Slot]:
    """A slot for each given device, or for each GPU where there are several, or ``jobs`` slots.

    Without a given device, a machine without a GPU leaves the tasks that need one to others.
    """
    if not devices:
        gpus = count_gpus(environ)
        if gpus > 1 and jobs is None:
            devices = [f"cuda:{number}" for number in range(gpus)]
        else:
            kinds = ("auto", "cpu", *(("cuda",) if gpus else ()), *(("mps",) if IS_MAC else ()))
            return [Slot(device=None, kinds=kinds)] * (jobs or 1)
    named = [Slot(device=name, kinds=_kinds(name)) for name in devices]
    return [slot for slot in named for _ in range(jobs or 1)]


def _kinds(device: str) -> tuple[str, ...]:
    kind = device.partition(":")[0]
    return KINDS if kind == "auto" else ("auto", kind)


def check_devices(devices: Sequence[str], environ: Mapping[str, str]) -> None:
    """Raise DeviceError for one that this machine doesn't have: all of its tasks would fail."""
    for name in devices:
        if not re.fullmatch(DEVICE, name):
            raise DeviceError(f"unknown device '{name}'; use auto, cpu, cuda, cuda:N or mps")
        kind, _, numbers = name.partition(":")
        if kind == "mps" and not IS_MAC:
            raise DeviceError(f"no device '{name}' here: it is the GPU of a Mac; use cpu or auto")
        if kind == "cuda" and not AMD.exists():
            _check_numbers(name, [int(number) for number in (numbers or "0").split(",")], environ)


def _check_numbers(name: str, numbers: Sequence[int], environ: Mapping[str, str]) -> None:
    gpus = count_gpus(environ)
    if max(numbers) >= gpus:
        found = f"{counted(gpus, 'GPU')}, from cuda:0 on" if gpus else "no NVIDIA GPU"
        raise DeviceError(f"no device '{name}' here: this machine has {found}; use cpu or auto")


def count_gpus(environ: Mapping[str, str]) -> int:
    """The number of CUDA devices that a child would see."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [name.strip() for name in visible.split(",")]
        return len([name for name in named if name and name != "-1"])
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=60)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
