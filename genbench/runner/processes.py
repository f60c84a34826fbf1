"""The other processes of a run on several devices: started, spoken to, watched and ended.

This process is the first one: it records, scores, draws and writes checkpoints. It starts one more
for each other device (`genbench.runner.following`), and speaks to them in lines of JSON. Law: none
of them outlives this process, however it ends, because their standard input ends with it. So they
ignore Ctrl-C, which only this process has to answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import torch

from genbench.engine import RunIdentity, Shards, check_shards, joined
from genbench.engine.shards import LOST_S, leave
from genbench.errors import GenbenchError
from genbench.evaluation.job import Job
from genbench.spec import device_names
from genbench.store import Store
from genbench.store.records import DEVICES

MODULE = "genbench.runner.following"
GRACE_S = 5.0
"""The seconds that a process gets to end."""
LOOK_S = 0.5
"""The seconds between two checks of processes that CUDA devices would wait for."""


class Processes:
    """A context in which the other processes of a run live; none for a run on one device."""

    def __init__(self, device: str) -> None:
        self._names, self.devices = device, device_names(device)
        self._children: list[_Child] = []
        self._stack = ExitStack()
        self._done = threading.Event()

    def __enter__(self) -> Processes:
        # They import torch while this process reads the data.
        self._children = [_Child(device) for device in self.devices[1:]]
        return self

    def __exit__(self, *error: Any) -> None:
        self._done.set()
        try:
            self._stack.__exit__(*error)
        finally:
            for child in self._children:
                child.end()

    def threads(self, threads: int | None) -> int | None:
        """The CPU threads of each process, if ``threads`` are those of the run."""
        count = len(self.devices)
        return threads if count == 1 else max(1, (threads or torch.get_num_threads()) // count)

    def join(self, job: Job, store: Store, *, new: bool) -> Shards | None:
        """Let the others build what ``job`` has, and try whether it can be split; None if alone.

        Raises IncompatibleError if it can't be, and GenbenchError if a process fails.
        """
        if not self._children:
            return None
        meeting = Path(self._stack.enter_context(TemporaryDirectory())) / "meeting"
        for rank, child in enumerate(self._children, 1):
            child.send(
                {
                    "spec": job.spec.to_json(),
                    "new": new,
                    "devices": self._names,
                    "rank": rank,
                    "count": len(self.devices),
                    "threads": torch.get_num_threads(),
                    "meeting": str(meeting),
                    "store": store.address,
                    "root": str(job.access.root),
                    "cache": str(job.access.cache),
                    "offline": job.access.offline,
                }
            )
        for child in self._children:
            child.wait_until_ready()
        with self.watched():
            shards = self._stack.enter_context(
                joined(0, len(self.devices), job.device, meeting, lost_s=LOST_S)
            )
            if shards.backend == "nccl":
                threading.Thread(target=self._release_devices, daemon=True).start()
            check_shards(job.model, job.data, job.spec, job.device, shards)
        return shards

    def facts(self, shards: Shards | None) -> dict[str, Any]:
        """What the environment of a run says of its devices, unless there is only one."""
        return {} if shards is None else {DEVICES: list(self.devices), "backend": shards.backend}

    def in_words(self, shards: Shards) -> str:
        """What the user is told of the processes."""
        others = [f"{child.device} (process {child.pid})" for child in self._children]
        return f"one run on {self.devices[0]}, {', '.join(others)}, by {shards.backend}"

    def begin(self, folder: Path, identity: RunIdentity, *, resume: bool) -> None:
        """Let the others train; they read the checkpoint of a resumed run from its ``folder``."""
        for child in self._children:
            child.send({"folder": str(folder), "identity": asdict(identity), "resume": resume})

    @contextmanager
    def watched(self) -> Iterator[None]:
        """If the block fails because another process has ended, raise a GenbenchError that says so.

        Without it, the error would be that of a connection.
        """
        try:
            yield
        except GenbenchError:  # an error of this process itself
            raise
        except Exception as error:
            told = self._trouble(error)
            if told is None:
                raise
            raise GenbenchError(told, hint="To resume: genbench resume RUN") from error

    def _trouble(self, error: Exception) -> str | None:
        network = isinstance(error, RuntimeError) and bool(self._children)
        ended = [end for child in self._children if (end := child.how_it_ended(network))]
        if ended:
            return max(ended, key=lambda end: end.is_cause).message
        if network and "timed out" in str(error).lower():
            return f"the other processes of this run did not answer for {LOST_S:g} s"
        return None

    def _release_devices(self) -> None:
        """NCCL would let a device wait forever for a process that is gone."""
        while not self._done.wait(LOOK_S):
            if any(child.has_failed() for child in self._children):
                leave(abort=True)
                return


@dataclass(frozen=True, kw_only=True)
class _End:
    """How a process ended; losing the connection to another one is not the cause of a failure."""

    message: str
    is_cause: bool


class _Child:
    """One of the other processes."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a process that has ended is noticed when it is waited for."""
        with suppress(OSError):
            print(json.dumps(message), file=self._stream("stdin"), flush=True)

    def wait_until_ready(self) -> None:
        """Wait until it has built the model. Raises GenbenchError if it fails."""
        line = self._stream("stdout").readline()
        told = json.loads(line) if line else {}
        if "ready" not in told:
            self._process.wait()
            raise GenbenchError(self._end(told).message)
        self.pid = told["ready"]

    def has_failed(self) -> bool:
        """Whether it has ended before the training."""
        return bool(self._process.poll())

    def how_it_ended(self, wait: bool) -> _End | None:
        """How it has ended, if it has failed; with ``wait``, it may be about to."""
        if wait:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        if not self.has_failed():
            return None
        lines = self._stream("stdout").read().splitlines()
        return self._end(json.loads(lines[-1]) if lines else {})

    def _end(self, told: dict[str, Any]) -> _End:
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if "error" in told:
            how = f"failed: {told['error']}"
        return _End(
            message=f"the process of {self.device} ({self.pid}) {how}",
            is_cause=not told.get("connection", False),
        )

    def end(self) -> None:
        """End it by closing its input; it has nothing to save."""
        with suppress(OSError):
            self._stream("stdin").close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stream("stdout").close()

    def _stream(self, name: str) -> IO[str]:
        stream: IO[str] = getattr(self._process, name)
        return stream
