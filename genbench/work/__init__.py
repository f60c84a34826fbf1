"""Work: genbench commands as child processes, and workers that take them from the store's queue.

This is the interface of the folder. Nothing is trained in this process, so torch is never imported.
"""

from __future__ import annotations

from genbench.work.children import Child, Command, Ended, carry_out
from genbench.work.launching import Launcher, WorkerOptions, WorkOrder, make_launcher
from genbench.work.slots import Slot, check_devices, slots_for
from genbench.work.spool import Spool
from genbench.work.worker import Worker, log_of

__all__ = [
    "Child",
    "Command",
    "Ended",
    "Launcher",
    "Slot",
    "Spool",
    "WorkOrder",
    "Worker",
    "WorkerOptions",
    "carry_out",
    "check_devices",
    "log_of",
    "make_launcher",
    "slots_for",
]
