"""Command lines in this process, or by the hundred in forks of one that imported everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CODES = frozenset((0, 1, 2, 3, 4, 5, 130))
"""The exit codes that the README documents."""
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


class CommandLine:
    """Runs ``genbench`` command lines in forks of one process that has imported everything."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = (home / "zygote.txt").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
            env={
                **os.environ,
                **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
            },
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready", self.said()

    def said(self) -> str:
        return (self._home / "zygote.txt").read_text()

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
        """Start a command line whose own commands are forks, too; gives its process id.

        ``log`` gets what it prints.
        """
        return int(self._ask(arguments, folder, env, log=str(log))["pid"])

    def _ask(
        self,
        arguments: tuple[str, ...],
        folder: Path,
        env: Mapping[str, str] | None,
        **more: Any,
    ) -> dict[str, Any]:
        request = {
            "arguments": [os.fsencode(a).decode("utf-8", "surrogateescape") for a in arguments],
            "folder": str(folder),
            "env": {**os.environ, "GENBENCH_OFFLINE": "1", "TERM": "dumb", **(env or {})},
            **more,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process that forks has ended: {self.said()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)  # on a machine with other work
        self._process.stdout.close()
        self._log.close()
