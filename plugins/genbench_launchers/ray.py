"""Workers as actors of Ray, on a cluster or, without an address, on this machine.

Ray starts an actor again when its process dies; what the worker had claimed goes back into the
queue by its lease. The actors end with this process.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from pydantic import Field

from genbench import Settings, UsageError, WorkOrder

STARTS = 3
"""How often a Ray of this machine is started, until it works.

It gives its own agent 15 s, which a machine under load may need for imports alone
(ray-project/ray#65983). The next start is faster, since the files have been read.
"""


class RaySettings(Settings):
    """Where the actors run, and what each of them asks for."""

    address: str | None = Field(
        default=None, description="address of a cluster, such as auto; default: this machine"
    )
    gpus: float = Field(0.0, ge=0, description="GPUs of a worker; below 1, workers share one")
    cpus: float = Field(1.0, ge=0, description="CPU cores of a worker")
    restarts: int = Field(100, ge=0, description="how often a worker that died is started again")


class Ray:
    """Starts one actor for each worker."""

    def __init__(self, settings: RaySettings) -> None:
        self.settings = settings
        self.results: list[Any] = []

    def script(self, order: WorkOrder) -> str:
        """The actors in words; Ray has no script."""
        given = self.settings
        return (
            f"{order.count} actors on {given.address or 'a Ray of this machine'}, each with "
            f"num_gpus={given.gpus:g}, num_cpus={given.cpus:g}, max_restarts={given.restarts}: "
            f"{' '.join(self._command(order))}"
        )

    def start(self, order: WorkOrder) -> str:
        """Connect to Ray and start the actors."""
        ray = self._connected()
        given = self.settings
        actor = ray.remote(
            num_gpus=given.gpus,
            num_cpus=given.cpus,
            max_restarts=given.restarts,
            max_task_retries=given.restarts,
        )(Actor)
        order.folder.mkdir(parents=True, exist_ok=True)
        self.actors = [actor.remote() for _ in range(order.count)]
        self.results = [
            one.work.remote(
                self._command(order),
                dict(order.environ),
                str(Path.cwd()),
                str(order.folder.resolve() / f"worker-{number}.log"),
            )
            for number, one in enumerate(self.actors)
        ]
        return f"started {order.count} actors of Ray; their logs are in {order.folder}"

    def stop(self) -> None:
        """Wait for the actors, which end when the queue is empty, and leave Ray."""
        ray = _ray()
        ray.wait(self.results, num_returns=len(self.results))
        ray.shutdown()

    def _connected(self) -> Any:
        """Ray, connected to the cluster, or to one that is started here."""
        ray, address = _ray(), self.settings.address
        # Ray gives its workers a niceness of 15, so that they stand still on a busy machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        for left in reversed(range(1 if address else STARTS)):
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False)
            except Exception as error:  # Ray raises plain exceptions, too
                ray.shutdown()
                if not left:
                    text = " ".join(str(error).split())
                    raise UsageError(f"Ray can't be used: {text}") from error
            else:
                break
        return ray

    def _command(self, order: WorkOrder) -> tuple[str, ...]:
        # An actor without GPUs sees all of them, since Ray leaves CUDA_VISIBLE_DEVICES unset.
        without = not self.settings.gpus and "--device" not in order.command
        return (*order.command, *(("--device", "cpu") if without else ()))


class Actor:
    """One worker in a process of Ray."""

    def work(self, command: tuple[str, ...], environ: dict[str, str], folder: str, log: str) -> int:
        """Run the worker to its end; return its exit code."""
        with Path(log).open("ab") as words:
            done = subprocess.run(
                command,
                env={**os.environ, **environ},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
            )
        return done.returncode


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UsageError(
            "the launcher ray needs the package 'ray'", hint="pip install 'genbench[ray]'"
        ) from error
    return ray
