"""Workers as processes on this machine, each in a session of its own."""

from __future__ import annotations

import os
import shlex
import subprocess

from genbench import Settings, WorkOrder


class Local:
    """Starts processes that go on when the terminal is closed."""

    def __init__(self, settings: Settings) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def script(self, order: WorkOrder) -> str:
        """The command line, once for each worker."""
        return "\n".join([shlex.join(order.command)] * order.count)

    def start(self, order: WorkOrder) -> str:
        """Start the processes; each has a log in the folder."""
        order.folder.mkdir(parents=True, exist_ok=True)
        for number in range(order.count):
            with (order.folder / f"worker-{number}.log").open("ab") as log:
                process = subprocess.Popen(
                    order.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **order.environ},
                    start_new_session=True,
                )
            self.processes.append(process)
        pids = ", ".join(str(process.pid) for process in self.processes)
        return f"started processes {pids}; their logs are in {order.folder}"

    def stop(self) -> None:
        """Nothing to do: the processes end when the queue is empty."""
