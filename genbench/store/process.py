"""The process that owns a run, and whether it still exists.

A process is identified by its machine, its id and its start time, since ids are used again. On the
same machine the answer is certain; on another machine, only the heartbeat shows whether it lives.
The start time comes from /proc on Linux and from ``ps`` on other Unixes; Windows has the heartbeat
only.
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
"""Seconds between two heartbeats of a running run."""

ENDS_WITH = "GENBENCH_ENDS_WITH"
"""The environment variable with the id of the parent process that a command doesn't outlive."""

SILENCE_S = 60.0
"""A run on another machine is lost without a heartbeat for so long; clocks may differ as much."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that owns a run; ``started`` is None if it isn't known."""

    host: str
    pid: int
    started: str | None


def this_process() -> Owner:
    """The current process as an owner."""
    return _own(os.getpid())


@cache
def _own(pid: int) -> Owner:
    return Owner(host=this_host(), pid=pid, started=process_start(pid))


@cache
def this_host() -> str:
    """The name of the machine and, on Linux, the namespace of its process ids.

    Two containers may share a name and a store, but not their process ids.
    """
    try:
        return f"{platform.node()}#{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return platform.node()


def process_start(pid: int) -> str | None:
    """The start time of a process, as text to compare; None if it doesn't exist or is a zombie."""
    if platform.system() == "Linux":
        return _start_from_proc(pid)
    if os.name == "posix":
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    return None


def is_lost(owner: Owner | None, heartbeat_at: str | None) -> bool:
    """Whether a run that is stored as running has no process any more.

    On the same machine, its process doesn't exist, or its id belongs to another process now. On
    another machine, its last heartbeat is older than a minute, or so far in the future that one of
    the clocks must be wrong. If its process still exists, it notices at its next write that the run
    was taken over, and stops.
    """
    if owner and owner.started and owner.host == this_host():
        return process_start(owner.pid) != owner.started
    return heartbeat_at is None or abs(seconds_since(heartbeat_at)) > SILENCE_S


def _start_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the command is in parentheses and may contain any character, even spaces.
    values = stat.rpartition(")")[2].split()
    state, ticks_since_boot = values[0], values[19]
    return None if state in "ZX" else f"{_boot()}/{ticks_since_boot}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
