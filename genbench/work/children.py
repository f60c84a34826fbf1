"""Run genbench commands as child processes, a limited number at a time.

Each child has its own session: Ctrl-C at the terminal reaches only the parent, which then asks its
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from genbench.formatting import without_passwords
from genbench.store.process import ENDS_WITH

POLL_S = 0.05
"""Seconds between two checks of the children."""

PROBE_S = 0.25
"""Seconds between two calls of `Command.enough`."""

PATIENCE_S = 5.0
"""Seconds that a child gets to end before it is killed."""

_ERROR = "genbench: error: "


@dataclass(frozen=True, kw_only=True)
class Command:
    """A genbench command with its log file, its threads and what it adds to the environment.

    It is stopped as soon as ``enough`` returns true, or if this process is killed before that.
    """

    title: str
    arguments: tuple[str, ...]
    log: Path
    threads: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    enough: Callable[[], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: exit code, printed JSON object, last error message and seconds.

    The code is negative if a signal has killed it.
    """

    command: Command
    code: int
    answer: Mapping[str, Any]
    error: str
    seconds: float

    @property
    def reason(self) -> str:
        """Why it failed: its error message, or else where its log is."""
        how = f"was killed by signal {-self.code}" if self.code < 0 else f"exited with {self.code}"
        return self.error or f"it {how} without a message; see {self.command.log}"


def carry_out(
    commands: Iterable[Command],
    *,
    at_once: int,
    should_stop: Callable[[], bool],
    ended: Callable[[Ended], Iterable[Command] | None],
) -> bool:
    """Run all commands, some at a time; return False if they were stopped before the end.

    ``ended`` is called with each command that ended, and may return commands that run next.
    Children are asked once to stop and may finish what they do. Any exception, such as a second
    Ctrl-C, ends them at once.
    """
    waiting, working = deque(commands), list[Child]()
    stopped = False
    try:
        while working or (waiting and not stopped):
            if should_stop() and not stopped:
                stopped = True
                for child in working:
                    child.ask_to_stop()
            while waiting and len(working) < at_once and not stopped:
                working.append(Child(waiting.popleft()))
            for child in [child for child in working if child.has_ended()]:
                working.remove(child)
                waiting.extendleft(reversed(list(ended(child.result()) or ())))
            if working:
                time.sleep(POLL_S)
    finally:
        for child in working:
            child.end_now()
    return not stopped


class Child:
    """One running process."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._began = self._probed = time.monotonic()
        self._asked = False
        command.log.parent.mkdir(parents=True, exist_ok=True)
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it has ended)
        with command.log.open("a", encoding="utf-8") as log:
            log.write(f"$ genbench {without_passwords(shlex.join(command.arguments))}\n")
            log.flush()
            self._from = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "genbench", *command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=log,
                env={
                    **os.environ,
                    **_of_threads(command.threads),
                    **_ends_with(command),
                    **command.environ,
                },
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """Whether the process has ended; asks it to stop once `Command.enough` is true."""
        if self._process.poll() is not None:
            return True
        now = time.monotonic()
        if self.command.enough and not self._asked and now - self._probed >= PROBE_S:
            self._probed = now
            if self.command.enough():
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
        with self.command.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._from)
            errors = [line for line in log if line.startswith(_ERROR)]
        return Ended(
            command=self.command,
            code=self._process.returncode,
            answer=_as_object(text),
            error=errors[-1].removeprefix(_ERROR).strip() if errors else "",
            seconds=time.monotonic() - self._began,
        )

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


def _of_threads(threads: int | None) -> dict[str, str]:
    """The variables that limit torch's threads; none if they are inherited."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))


def _ends_with(command: Command) -> dict[str, str]:
    """The variable that stops a command without an end of its own when this process is gone."""
    return {ENDS_WITH: str(os.getpid())} if command.enough else {}


def _as_object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
