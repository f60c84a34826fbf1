"""Command lines in this process, or by the hundred in forks of one that imported everything."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

CODES = frozenset((0, 1, 2, 3, 4, 5, 130))
"""The exit codes that the README documents."""
FORKED = ("genbench", "genbench.runner.following", "shard_process", "pytest")
"""The modules that ``python -m`` runs in a fork."""
TALLY: Counter[str] = Counter()


class Said(NamedTuple):
    """What a command line printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON object."""
        return json.loads(self.out)


def in_process(*arguments: str) -> int:
    """Run one command line in this process and the current folder; gives its exit code."""
    from genbench.cli import main
    from genbench.cli.session import SESSION

    SESSION.debug, SESSION.verbosity = False, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["genbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a command line ended; ``struck`` is the operation that a fault hit.

    ``cpu_seconds`` count the work of all its threads, without the imports.
    """

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str
    struck: str
    interrupted: bool
    hung: bool
    seconds: float
    cpu_seconds: float

    def check(self) -> None:
        """Raise AssertionError for a traceback, an unknown exit code or a hang."""
        told = f"{list(self.arguments)}\nexit {self.code}\n{self.err[-3000:]}"
        assert not self.hung, f"it did not stop on Ctrl-C: {told}"
        assert "Traceback (most recent call last)" not in self.err, told
        assert "error: unexpected" not in self.err, told
        assert self.code in CODES, told


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Read what a process says on stderr until such a line."""
    assert process.stderr is not None
    for said in process.stderr:
        if re.search(line, said):
            return
    raise AssertionError(f"ended without a line like {line}")


class CommandLine:
    """Runs ``genbench`` command lines in forks of one process that has imported everything.

    The process is started if nobody has, and goes when the last one who holds it closes.
    ``python`` is a program that runs ``-m`` with the modules of `FORKED` so, in place of
    `sys.executable`; a ``genbench`` stands beside it.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self._log, self._path = home / "zygote.txt", str(home / "s")
        with FileLock(home / "lock"):
            held = self._hold()
            if held is None:
                self._start()
                held = self._hold()
            assert held is not None, self.said()
        self._held = held
        self.python = home / "bin" / "python"
        self._write_programs()

    def _hold(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._path)
            connection.sendall(b"{}\n")
            if connection.recv(16):
                return connection
        except OSError:
            pass
        connection.close()
        return None

    def _start(self) -> None:
        script = Path(__file__).with_name("zygote.py")
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        Path(self._path).unlink(missing_ok=True)
        with self._log.open("a") as log:
            started = subprocess.run(
                [sys.executable, str(script), self._path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **threads},
            )
        assert started.returncode == 0, self.said()

    def _write_programs(self) -> None:
        """Shell scripts, which are the same for all workers."""
        client = Path(__file__).with_name("forked.py")
        python, genbench = self.python, self.python.with_name("genbench")
        fork = shlex.join([sys.executable, "-IS", str(client), self._path, str(python)])
        either = (
            f'case "$1" in -m) case "$2" in {"|".join(FORKED)})'
            f' shift; exec {fork} "$@";; esac;; esac\n'
            f'exec {shlex.quote(sys.executable)} "$@"'
        )
        python.parent.mkdir(exist_ok=True)
        for path, line in ((python, either), (genbench, f'exec {fork} genbench "$@"')):
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as script:
                script.write(f"#!/bin/sh\n{line}\n")
            Path(script.name).chmod(0o755)
            Path(script.name).replace(path)

    def said(self) -> str:
        return self._log.read_text()

    def __call__(
        self,
        *arguments: str,
        folder: Path,
        fault: tuple[str, int] | None = None,
        limit: float = 60.0,
        grace: float = 20.0,
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run one command line in ``folder``; Ctrl-C comes after ``limit`` seconds."""
        answer = self._ask(arguments, folder, env, fault=fault, limit=limit, grace=grace)
        TALLY[f"exit {answer['code']}"] += 1
        return Answer(arguments=tuple(arguments), **answer)

    def start(
        self, *arguments: str, folder: Path, log: Path, env: Mapping[str, str] | None = None
    ) -> int:
        """Start a command line in a session of its own; gives the id of its process.

        ``log`` gets what it prints. It goes on whoever else ends.
        """
        return int(self._ask(arguments, folder, env, fault=None, log=str(log))["pid"])

    def _ask(
        self,
        arguments: tuple[str, ...],
        folder: Path,
        env: Mapping[str, str] | None,
        **more: Any,
    ) -> dict[str, Any]:
        request = {
            "arguments": [os.fsencode(a).decode("utf-8", "surrogateescape") for a in arguments],
            "module": "genbench",
            "folder": str(folder),
            "python": str(self.python),
            "env": {**os.environ, "GENBENCH_OFFLINE": "1", "TERM": "dumb", **(env or {})},
            **more,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as lines:
                line = lines.readline()
        assert line, f"the process that forks has ended: {self.said()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def process(
        self, *arguments: str, folder: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start one command line in ``folder``, to be read from, waited for and signalled."""
        return subprocess.Popen(
            [str(self.python), "-m", "genbench", *arguments],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._held.close()
