"""Workers as a job array of Slurm, through submitit.

Before the time limit Slurm sends a signal. The worker then asks its command to write a checkpoint,
gives the task back to the queue and is submitted again. Slurm's own states are never asked for:
without accounting they stay UNKNOWN forever.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from genbench import Settings, UsageError, WorkOrder


class SlurmSettings(Settings):
    """What each job of the array asks for."""

    partition: str | None = Field(default=None, description="partition; default: the cluster's")
    account: str | None = Field(default=None, description="account to charge")
    qos: str | None = Field(default=None, description="quality of service")
    constraint: str | None = Field(default=None, description="features that a node must have")
    minutes: int = Field(60, ge=1, description="time limit of a job; it is requeued then")
    requeues: int = Field(1_000, ge=0, description="how often a job may be requeued")
    notice: int = Field(
        90, ge=1, description="seconds before the limit at which a job stops with a checkpoint"
    )
    gpus: int = Field(0, ge=0, description="GPUs of a job: one task runs on each")
    cpus: int = Field(1, ge=1, description="CPU cores of a job")
    memory_gb: float | None = Field(default=None, gt=0, description="memory of a job in GB")
    at_once: int = Field(256, ge=1, description="jobs of the array that run at a time")


class Slurm:
    """Submits one job for each worker."""

    def __init__(self, settings: SlurmSettings) -> None:
        self.settings = settings

    def script(self, order: WorkOrder) -> str:
        """The file that sbatch would get; Slurm needn't be installed."""
        executor = self._executor(order, without_slurm=True)
        executor.parameters["map_count"] = order.count
        command = executor._submitit_command_str
        return str(executor._make_submission_file_text(command, "dry-run"))

    def start(self, order: WorkOrder) -> str:
        """Submit the array."""
        try:
            # The files of submitit have the variables, and the store's address may have a password.
            order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            executor = self._executor(order)
            jobs = executor.map_array(_call, [self._work(order)] * order.count)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"Slurm accepted no job: {' '.join(str(error).split())}") from error
        number = jobs[0].job_id.partition("_")[0]
        return (
            f"submitted {order.count} jobs to Slurm as {number}; their logs are in {order.folder}"
            f" (to stop them: scancel --signal=INT {number})"
        )

    def stop(self) -> None:
        """Nothing to do: the jobs end when the queue is empty."""

    def _work(self, order: WorkOrder) -> Work:
        command = order.command
        if not self.settings.gpus and "--device" not in command:
            # Without --gpus a job may still see the GPUs of others.
            command = (*command, "--device", "cpu")
        return Work(command, dict(order.environ), str(Path.cwd()))

    def _executor(self, order: WorkOrder, *, without_slurm: bool = False) -> Any:
        submitit = _submitit()
        kind = submitit.SlurmExecutor
        if without_slurm:
            kind = type("SlurmExecutor", (kind,), {"affinity": classmethod(lambda cls: 2)})
        given = self.settings
        try:
            executor = kind(folder=str(order.folder), max_num_timeout=given.requeues)
        except RuntimeError as error:
            raise UsageError(
                "this machine has no Slurm: srun was not found; start the command on a login node"
            ) from error
        optional = {
            "mem": None if given.memory_gb is None else f"{round(1024 * given.memory_gb)}MB",
            "gpus_per_node": given.gpus or None,
            **{name: getattr(given, name) for name in _NAMES},
        }
        executor.update_parameters(
            job_name=order.name,
            time=given.minutes,
            cpus_per_task=given.cpus,
            signal_delay_s=given.notice,
            array_parallelism=given.at_once,
            additional_parameters={"requeue": True},
            **{name: value for name, value in optional.items() if value is not None},
        )
        return executor


_NAMES = ("partition", "account", "qos", "constraint")


class Work:
    """What a job does; submitit stores it, and calls `checkpoint` when Slurm's signal has come."""

    def __init__(self, command: tuple[str, ...], environ: Mapping[str, str], folder: str) -> None:
        self.command, self.environ, self.folder = command, dict(environ), folder

    def __call__(self) -> int:
        """Run the worker to its end."""
        environ = {**os.environ, **self.environ}
        self.process = subprocess.Popen(self.command, env=environ, cwd=self.folder)
        return self.process.wait()

    def checkpoint(self, *_: Any) -> Any:
        """Stop the worker with a checkpoint, and submit the same job again."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        again = Work(self.command, self.environ, self.folder)
        return _submitit().helpers.DelayedSubmission(Call(), again)


class Call:
    """Calls the work of a job, and passes on the checkpoint of it."""

    def __call__(self, work: Work) -> int:
        """Do the work."""
        return work()

    def checkpoint(self, work: Work) -> Any:
        """Stop the work and submit it again."""
        return work.checkpoint()


_call = Call()


def _submitit() -> Any:
    try:
        import submitit
        import submitit.helpers
    except ModuleNotFoundError as error:
        raise UsageError(
            "the launcher slurm needs the package 'submitit'", hint="pip install 'genbench[slurm]'"
        ) from error
    return submitit
