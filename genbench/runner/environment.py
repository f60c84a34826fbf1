"""The environment of a run: the machine, the versions of packages, and the commit of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from genbench import __version__
from genbench.engine.cpu import cpu_name

PACKAGES = ("torchvision", "numpy", "scikit-learn", "torch-fidelity", "pillow", "safetensors")
"""The packages that can change a number, in addition to torch and genbench."""


def environment(device: torch.device) -> dict[str, Any]:
    """The description of the environment; values that aren't known are None.

    ``git_commit`` and ``git_dirty`` are those of the working directory.
    """
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "torch": torch.__version__,
        "genbench": __version__,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git_commit": commit,
        "git_dirty": None if status is None else bool(status),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """The output of git; None if there is no git or no repository, or if it takes too long."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
