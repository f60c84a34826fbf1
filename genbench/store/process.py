"""Who works on a run, and whether that process is still there.

A process is known by its machine, its number and the moment it started, for numbers are used
again. On the same machine the answer is certain and immediate; from another one only the heartbeat
tells. No psutil: /proc on Linux, ``ps`` on other Unixes, the heartbeat alone on Windows.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from genbench.store.values import seconds_since

HEARTBEAT_S = 5.0
"""A running run says so this often."""

SILENCE_S = 60.0
"""A run on another machine that was silent for longer is lost; so far may clocks differ."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that works on a run; ``started`` is None where that can't be known."""

    host: str
    pid: int
    started: str | None


def this_process() -> Owner:
    """The process that asks."""
    return _own(os.getpid())


@cache
def _own(pid: int) -> Owner:
    return Owner(host=this_host(), pid=pid, started=process_start(pid))


@cache
def this_host() -> str:
    """The machine's name and, on Linux, the namespace of its process numbers.

    Two containers may share a name and a store, but not their process numbers.
    """
    try:
        return f"{platform.node()}#{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return platform.node()


def process_start(pid: int) -> str | None:
    """When the process started, as text to compare; None if there is none (or it is a zombie)."""
    if platform.system() == "Linux":
        return _start_from_proc(pid)
    if os.name == "posix":
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    return None


def is_lost(owner: Owner | None, heartbeat_at: str | None) -> bool:
    """Whether a run that says running has no process any more.

    Same machine: its process is gone, or its number belongs to another one now. Another machine:
    its last heartbeat is older than a minute, or so far in the future that one of the clocks is
    wrong: that says nothing of its process. Should it live after all, it sees at its next write
    that the run was taken over, and stops.
    """
    if owner and owner.started and owner.host == this_host():
        return process_start(owner.pid) != owner.started
    return heartbeat_at is None or abs(seconds_since(heartbeat_at)) > SILENCE_S


def _start_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the command is in parentheses and may contain anything, even spaces.
    values = stat.rpartition(")")[2].split()
    state, ticks_since_boot = values[0], values[19]
    return None if state in "ZX" else f"{_boot()}/{ticks_since_boot}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
