"""A process that has imported everything once and forks a child for each command line.

A start of Python with torch takes two seconds, a fork 10 ms: so thousands of command lines can be
tried. Requests and answers are lines of JSON on stdin and stdout. A child runs `genbench.cli.main`
as the console script does, with its own working folder, environment and standard streams.

A *fault* strikes a child at its n-th operation on a file below its folder or statement on the
store: SIGKILL, or an OSError in place of the operation. An operation is what Python's audit
hooks tell (open for writing, rename, remove, mkdir, rmdir, truncate, link), an fsync, or an SQL
statement.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Fault:
    """Counts operations; at the ``at``-th it kills the process or raises an OSError."""

    def __init__(self, kind: str, at: int, folder: str, log: int) -> None:
        self.kind, self.at, self.folder, self.log = kind, at, folder, log
        self.count = 0

    def install(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        sys.addaudithook(self._audit)
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            event.listen(Engine, name, self._statement)
        fsync = os.fsync

        def counted(descriptor: int) -> None:
            self._strike("fsync")
            fsync(descriptor)

        os.fsync = counted

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = bool(flags & WRITING)
        else:
            path, changes = (arguments or ("",))[0], event in CHANGES
        if changes and isinstance(path, (str, Path)):
            where = os.path.realpath(path)
            if where.startswith(self.folder):
                self._strike(f"{event} {where.removeprefix(self.folder)}")

    def _statement(self, cursor: Any, statement: str, *rest: Any) -> None:
        """As SQLite tells a disk that fails."""
        try:
            self._strike(f"sql {' '.join(statement.split())[:40]}")
        except OSError as error:
            full = error.errno == errno.ENOSPC
            told = "database or disk is full" if full else "disk I/O error"
            failure = sqlite3.OperationalError(told)
            failure.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
            failure.sqlite_errorname = "SQLITE_FULL" if full else "SQLITE_IOERR"
            raise failure from None

    def _strike(self, operation: str) -> None:
        self.count += 1
        if self.count != self.at:
            return
        os.write(self.log, operation.encode())
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self.kind)
        raise OSError(number, os.strerror(number), operation.split()[-1])


def preload() -> None:
    """Import what commands import, but run nothing of it."""
    from importlib import import_module

    from genbench.cli import GROUPS

    for group in GROUPS:
        import_module(f"genbench.cli.{group}")
    for module in (
        *("torch", "torchvision", "numpy", "PIL.Image", "rich.console", "rich.table", "typer.main"),
        *(
            "genbench.runner.train_run",
            "genbench.runner.stored_runs",
            "genbench.report",
            "genbench.study",
        ),
        *("genbench.store.lifecycle", "genbench.store.database", "alembic.command", "pydantic"),
        *("genbench_vae.vae", "genbench_gan.gan", "genbench_data.digits", "sklearn.datasets"),
    ):
        import_module(module)


def child(request: dict[str, Any], out: int, err: int, log: int) -> int:
    """Run one command line as the console script does; return its exit code."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    source = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((source, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["genbench", *request["arguments"]]
    if request["fault"]:
        kind, at = request["fault"]
        Fault(kind, at, os.path.realpath(request["folder"]), log).install()
    from genbench.cli import main

    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait, answer. After ``limit`` seconds the child is interrupted as by Ctrl-C."""
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
    out, err, log = (file.fileno() for file in files)
    process = os.fork()
    if process == 0:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = child(request, out, err, log)
        finally:
            os._exit(code)
    began, asked = time.monotonic(), False
    hung = False
    while True:
        done, status, used = os.wait4(process, os.WNOHANG)
        if done:
            break
        waited = time.monotonic() - began
        if waited > request["limit"] and not asked:
            asked = True
            os.kill(process, signal.SIGINT)
        if waited > request["limit"] + request["grace"]:
            hung = True
            os.kill(process, signal.SIGKILL)
            _, status, used = os.wait4(process, 0)
            break
        time.sleep(0.002)
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode(errors="backslashreplace"))
        file.close()
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "struck": texts[2],
        "interrupted": asked,
        "hung": hung,
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


class ForkedProcess:
    """What `genbench.work.children.Child` uses of a Popen, for a fork that runs a command line."""

    def __init__(self, command: list[str], stdout: Any, stderr: Any, env: dict[str, str], **_: Any):
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            run_fork(command[3:], env, stdout.fileno(), stderr.fileno())

    def poll(self) -> int | None:
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if done else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = 60.0) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.01)
        return self.returncode or 0


def run_fork(arguments: list[str], env: dict[str, str], out: int, err: int) -> None:
    """Run a command line in this fork, in a session of its own, and end the process."""
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(os.devnull, os.O_WRONLY)
        request = {"folder": str(Path.cwd()), "env": env, "arguments": arguments, "fault": None}
        code = child(request, out, err, log)
    finally:
        os._exit(code)


def detach(request: dict[str, Any]) -> dict[str, Any]:
    """Fork and answer at once; the fork's own commands are forks, too. ``log`` gets its words."""
    process = os.fork()
    if process == 0:
        from genbench.work import children

        children.subprocess = SimpleNamespace(
            Popen=ForkedProcess,
            DEVNULL=subprocess.DEVNULL,
            TimeoutExpired=subprocess.TimeoutExpired,
        )
        os.chdir(request["folder"])
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        run_fork(request["arguments"], request["env"], log, log)
    return {"pid": process}


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    preload()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = detach(request) if request.get("log") else serve(request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
