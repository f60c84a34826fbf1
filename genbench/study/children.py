"""Run genbench commands as child processes, a limited number at a time.

Each child has its own session: Ctrl-C at the terminal reaches only the study, which then asks its
children once to stop, so that they finish a step and write a checkpoint.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

POLL_S = 0.05
"""Seconds between two checks of the children."""

PROBE_S = 0.25
"""Seconds between two calls of `Task.enough`."""

PATIENCE_S = 5.0
"""Seconds that a child gets to end before it is killed."""

_ERROR = "genbench: error: "


@dataclass(frozen=True, kw_only=True)
class Task:
    """A genbench command with its log file. It is stopped as soon as ``enough`` returns true."""

    title: str
    arguments: tuple[str, ...]
    log: Path
    enough: Callable[[], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a task ended: exit code, printed JSON object, last error message and seconds."""

    task: Task
    code: int
    answer: Mapping[str, Any]
    error: str
    seconds: float

    @property
    def reason(self) -> str:
        """Why it failed: its error message, or else where its log is."""
        return (
            self.error or f"it exited with code {self.code} without a message; see {self.task.log}"
        )


Follow = Callable[[Ended], Iterable[Task]]
"""Called with each task that ended; the tasks that it returns run next."""


def carry_out(
    tasks: Iterable[Task],
    *,
    at_once: int,
    threads: int,
    should_stop: Callable[[], bool],
    ended: Follow,
    started: Callable[[Task], None] = lambda task: None,
) -> bool:
    """Run all tasks and those that follow from them; return False if it was stopped before the end.

    Children are asked once to stop and may finish what they do; the tasks that follow from them
    don't run. Any exception, such as a second Ctrl-C, ends the children at once.
    """
    waiting, working = deque(tasks), list[_Child]()
    stopped = False
    try:
        while working or (waiting and not stopped):
            if should_stop() and not stopped:
                stopped = True
                for child in working:
                    child.ask_to_stop()
            while waiting and len(working) < at_once and not stopped:
                working.append(_Child(waiting.popleft(), threads))
                started(working[-1].task)
            for child in [child for child in working if child.has_ended()]:
                working.remove(child)
                waiting.extendleft(reversed(list(ended(child.result()))))
            if working:
                time.sleep(POLL_S)
    finally:
        for child in working:
            child.end_now()
    return not stopped


class _Child:
    """One running process."""

    def __init__(self, task: Task, threads: int) -> None:
        self.task = task
        self._began = self._probed = time.monotonic()
        self._asked = False
        command = [sys.executable, "-m", "genbench", *task.arguments]
        task.log.parent.mkdir(parents=True, exist_ok=True)
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it has ended)
        with task.log.open("a", encoding="utf-8") as log:
            log.write(f"$ genbench {shlex.join(task.arguments)}\n")
            log.flush()
            self._from = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=log,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": str(threads),
                    "MKL_NUM_THREADS": str(threads),
                },
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """Whether the process has ended; asks it to stop once `Task.enough` is true."""
        if self._process.poll() is not None:
            return True
        now = time.monotonic()
        if self.task.enough and not self._asked and now - self._probed >= PROBE_S:
            self._probed = now
            if self.task.enough():
                self.ask_to_stop()
        return False

    def ask_to_stop(self) -> None:
        """Send one Ctrl-C; a second one would prevent the checkpoint."""
        if not self._asked:
            self._asked = True
            self._signal(signal.SIGINT)

    def end_now(self) -> None:
        """Send another Ctrl-C, and kill the process if it doesn't end in time."""
        self._signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()

    def result(self) -> Ended:
        """What it printed on stdout, and the last error in its log."""
        with self._out as out:
            out.seek(0)
            text = out.read().decode(errors="replace")
        with self.task.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._from)
            errors = [line for line in log if line.startswith(_ERROR)]
        return Ended(
            task=self.task,
            code=self._process.returncode,
            answer=_as_object(text),
            error=errors[-1].removeprefix(_ERROR).strip() if errors else "",
            seconds=time.monotonic() - self._began,
        )

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


def _as_object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
