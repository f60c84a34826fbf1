"""What torch sees on a machine, asked in a process of its own.

The process starts first and answers last: the other findings are collected while torch is
imported. An installation of torch that crashes or hangs is a finding, and doesn't end `doctor`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

from genbench.errors import GenbenchError

LIMIT_S = 120.0
"""Seconds after which the import of torch counts as hanging."""
SHAPES = "torch._meta_registrations"
"""The shapes of results on tensors without data: a third of torch's import, needed by no device."""


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What torch sees; ``gpus``: the name and the bytes of each CUDA device."""

    threads: int
    gpus: list[tuple[str, int]]
    built_with_cuda: bool
    mps: bool
    hub: str


class DeviceQuery:
    """Asks torch for its devices without waiting for the answer."""

    def __init__(self) -> None:
        self._process = None if "torch" in sys.modules else _start("quickly")

    def answer(self) -> Devices:
        """Wait for the answer. Raises GenbenchError if torch can't be imported or hangs."""
        if self._process is None:
            return look()
        try:
            return _read(self._process)
        except GenbenchError:
            if self._process.returncode < 0:  # it hung or crashed, and would do so again
                raise
        return _read(_start("whole"))  # perhaps this version of torch needs its shapes


def look() -> Devices:
    """The devices that torch sees from this process."""
    import torch

    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return Devices(
        threads=torch.get_num_threads(),
        gpus=[(gpu.name, gpu.total_memory) for gpu in gpus],
        built_with_cuda=torch.version.cuda is not None,
        mps=torch.backends.mps.is_available(),
        hub=torch.hub.get_dir(),
    )


def _start(how: str) -> subprocess.Popen[str]:
    """A process that imports the torch which this one would import."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, how],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _read(process: subprocess.Popen[str]) -> Devices:
    with process:
        try:
            told, trouble = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise GenbenchError(f"the import of torch takes more than {LIMIT_S:g} s") from None
        finally:
            process.kill()
    if process.returncode:
        last = trouble.strip().rpartition("\n")[2] or f"exit code {process.returncode}"
        raise GenbenchError(
            f"torch can't be imported ({last})", hint="Install it again: see https://pytorch.org"
        )
    values = json.loads(told.strip().rpartition("\n")[2])
    return Devices(**{**values, "gpus": [tuple(gpu) for gpu in values["gpus"]]})


if __name__ == "__main__":
    if sys.argv[1:] == ["quickly"]:
        sys.modules[SHAPES] = ModuleType(SHAPES)
    sys.stdout.write(json.dumps(vars(look())))
