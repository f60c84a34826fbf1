"""PyTorch's waiting threads spin on cores that nobody else needs, and sleep soon on others.

On Linux, PyTorch's threads on the CPU are those of libgomp. A thread that waits for the others
spins for about 3 ms before it sleeps. On idle cores this is fast; beside another busy process it
makes a training several times slower, because spinning threads keep the cores busy
[`vaegan digits`, 2 cores, a step beside a busy process: 126 ms; with short spins: 17 ms; alone:
13.7 ms, with short spins 15.8 ms].

libgomp reads ``GOMP_SPINCOUNT`` only when it is loaded. But as long as it manages more threads than
there are cores, its threads check a hundred times in place of 300,000 before they sleep
(``gomp_throttled_spin_count_var`` in its ``config/linux/wait.h``). So while the kernel reports that
threads of this process wait for a core, a second team of threads is kept, which does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

INTERVAL_S = 0.2
"""The least seconds between two looks at the kernel's accounts."""
WORTH = 500
"""How many times as long as a look the pause after it is at least: a look reads a file for each
thread [30 us each], and a large machine has hundreds of them."""
SHARED = 0.1
"""The seconds that threads wait for a core, per second, from which the cores are shared."""
QUIET_S = 2.0
"""Seconds without such waiting after which the cores are this process's own again."""

CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""The variables by which a user decides how threads wait."""
_TASKS = Path("/proc/self/task")


def share_cores() -> None:
    """Watch from now on, until the process ends, whether other processes need the cores.

    Only the first call in a process starts the watch. Where threads are not those of libgomp, where
    the kernel has no such accounts, and where the user has set how threads wait, nothing happens.
    """
    global _watched
    if _watched == os.getpid() or any(name in os.environ for name in CHOSEN):
        return
    _watched = os.getpid()  # a forked process has none of its parent's threads
    library = _libgomp()
    if library is not None and waited_s() is not None:
        watch = CoreWatch(SpareTeam(library), waited_s)
        threading.Thread(target=watch.run, name="cores", daemon=True).start()


_watched: int | None = None
"""The process that has a watch."""


class SpareTeam:
    """Idle threads of libgomp: while they are held, all of its waiting threads sleep soon."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # free(NULL)
        self._end: threading.Event | None = None

    @property
    def held(self) -> bool:
        """Whether there are such threads now."""
        return self._end is not None

    def hold(self) -> None:
        """Start them, from a thread of their own, because a team belongs to the thread."""
        end = threading.Event()
        thread = threading.Thread(target=self._keep, args=(end,), name="spare team", daemon=True)
        with contextlib.suppress(
            RuntimeError
        ):  # no more threads are allowed: all goes on as it was
            thread.start()
            self._end = end

    def release(self) -> None:
        """End them; libgomp ends a team with its thread."""
        if self._end is not None:
            self._end.set()
            self._end = None

    def _keep(self, end: threading.Event) -> None:
        # With the threads that PyTorch has already, one more than there are cores.
        threads = max(2, len(os.sched_getaffinity(0)) - torch.get_num_threads() + 2)
        self._library.GOMP_parallel(self._nothing, None, threads, 0)
        end.wait()


class CoreWatch:
    """Holds the spare team while threads of this process wait for a core.

    ``waited`` gives the seconds that they have waited until now.
    """

    def __init__(self, team: SpareTeam, waited: Callable[[], float | None]) -> None:
        self._team, self._waited = team, waited
        self._last = self._at = time.perf_counter()
        self._before = waited() or 0.0

    def run(self) -> None:
        """Look until the process ends."""
        pause = INTERVAL_S
        while True:
            time.sleep(pause)
            begun = time.perf_counter()
            self.look(begun)
            pause = max(INTERVAL_S, WORTH * (time.perf_counter() - begun))

    def look(self, now: float) -> None:
        """Hold or release the team by what happened since the last look; ``now`` in seconds."""
        waited = self._waited() or 0.0
        shared = waited - self._before > SHARED * (now - self._at)
        self._before, self._at = waited, now
        if shared:
            self._last = now
            if not self._team.held:
                self._team.hold()
        elif now - self._last >= QUIET_S:
            self._team.release()


def waited_s() -> float | None:
    """Seconds that the threads of this process have been ready to run without a core.

    None if the kernel doesn't count them (``schedstat`` in proc(5)).
    """
    found = []
    for thread in _TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            found.append(int(thread.read_bytes().split()[1]) / 1e9)
    return sum(found) if found else None


def _libgomp() -> ctypes.CDLL | None:
    """The library that PyTorch uses, not that of another package; None if it uses another one."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    loaded = {line.split()[-1] for line in maps.splitlines() if "libgomp" in line}
    for path in sorted(loaded, key=lambda one: "/torch/" not in one):
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(path)
            library.GOMP_parallel.restype = None
            library.GOMP_parallel.argtypes = (
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_uint,
                ctypes.c_uint,
            )
            return library
    return None
