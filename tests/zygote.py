"""A process that has imported everything once and forks a child for each command line.

A start of Python with torch takes two seconds, a fork 10 ms: so thousands of command lines can be
tried. Requests and answers are lines of JSON on a socket, which all workers of pytest share. A
child runs `genbench.cli.main` as the console script does, with its own working folder, environment
and standard streams. The process ends when no worker holds a connection to it.

A *fault* strikes a child at its n-th operation on a file below its folder or statement on the
store: SIGKILL, or an OSError in place of the operation. The answer names the operation; that of a
fault at 0, which strikes at none, tells their number. An operation is what Python's audit
hooks tell (open for writing, rename, remove, mkdir, rmdir, truncate, link), an fsync, or an SQL
statement.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import runpy
import select
import signal
import socket
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
LIBRARIES = (
    *("torch", "torchvision", "numpy", "PIL.Image", "rich.console", "rich.table", "typer.main"),
    *("alembic.command", "pydantic", "torch_fidelity", "sklearn.datasets", "platformdirs"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "pytest"),
)
"""What commands import of other packages, wherever it is not at the head of a module."""
UNLIKE_OTHERS = ("genbench.__main__", "genbench.store.migrations.")
"""Modules that take the signals over at their import, or that only Alembic can import."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Fault:
    """Counts operations; at the ``at``-th it kills the process or raises an OSError.

    ``at`` 0 strikes at none of them.
    """

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
    """Import what commands import, but run nothing of it.

    A module that a command has to import costs each fork again what it costs here once.
    """
    plugins = Path(__file__).parents[1] / "plugins"
    for package in ("genbench", *sorted(path.name for path in plugins.iterdir() if path.is_dir())):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith(UNLIKE_OTHERS):
                with contextlib.suppress(ImportError):  # it may need an extra
                    import_module(module.name)
    for name in LIBRARIES:
        import_module(name)


def child(request: dict[str, Any], streams: Sequence[int], log: int) -> int:
    """Run one command line as the console script or ``python -m`` does; return its exit code."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    open_streams(streams, request.get("closed", ()))
    sys.argv = [request["module"], *request["arguments"]]
    sys.executable = request["python"]  # a study starts commands of its own
    fault = None
    if request["fault"]:
        kind, at = request["fault"]
        fault = Fault(kind, at, os.path.realpath(request["folder"]), log)
        fault.install()
    try:
        if request["module"] == "genbench":
            import_module("genbench.cli").main()
        else:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if fault is not None and fault.at == 0:
        os.write(log, str(fault.count).encode())
    return code


def open_streams(streams: Sequence[int], closed: Sequence[int]) -> None:
    """Give the process its standard streams, as Python does at its start: None for a closed one."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for number in closed:
        os.close(number)
    texts: list[Any] = [
        None
        if number in closed
        else open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        for number, (mode, errors) in enumerate(
            (("r", "strict"), ("w", "strict"), ("w", "backslashreplace"))
        )
    ]
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = texts


def detach(connection: socket.socket, request: dict[str, Any]) -> None:
    """Become the process of a request with a ``log``, after telling its number."""
    connection.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
    connection.close()
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os._exit(child(request, (os.open(os.devnull, os.O_RDONLY), log, log), log))


def serve(connection: socket.socket, request: dict[str, Any], given: Sequence[int]) -> None:
    """Fork, wait, answer. After ``limit`` seconds the child is interrupted as by Ctrl-C.

    With ``given`` streams, the number of the process is told first, and the child is killed if the
    one who asks is.
    """
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
    out, err, log = (file.fileno() for file in files)
    streams = given or (os.open(os.devnull, os.O_RDONLY), out, err)
    process = os.fork()
    if process == 0:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            connection.close()
            code = child(request, streams, log)
        finally:
            os._exit(code)
    for descriptor in given:
        os.close(descriptor)
    if given:
        connection.sendall(f"{process}\n".encode())
    began, asked = time.monotonic(), False
    limit, hung = request["limit"], False
    while True:
        done, status, used = os.wait4(process, os.WNOHANG)
        if done:
            break
        waited = time.monotonic() - began
        if limit is not None and waited > limit and not asked:
            asked = True
            os.kill(process, signal.SIGINT)
        if limit is not None and waited > limit + request["grace"]:
            hung = True
        if hung or select.select([connection], [], [], 0.002)[0]:
            os.kill(process, signal.SIGKILL)
            _, status, used = os.wait4(process, 0)
            break
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode(errors="backslashreplace"))
        file.close()
    answer = {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "struck": texts[2],
        "interrupted": asked,
        "hung": hung,
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{json.dumps(answer)}\n".encode())


def received(connection: socket.socket) -> tuple[dict[str, Any] | None, Sequence[int]]:
    """A request, which is a line, and the streams that came with it; None if the other has gone."""
    line, streams = b"", list[int]()
    while not line.endswith(b"\n"):
        some, given, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not some:
            return None, ()
        line += some
        streams += given
    return json.loads(line), streams


def serve_all(listener: socket.socket) -> None:
    """Answer each request in a process of its own, until nobody holds a connection.

    An empty request holds one.
    """
    holders = list[socket.socket]()
    while True:
        for ready in select.select([listener, *holders], [], [])[0]:
            if ready is not listener:
                holders.remove(ready)
                ready.close()
                continue
            connection, _ = listener.accept()
            request, streams = received(connection)
            if request == {}:
                connection.sendall(b"ready\n")
                holders.append(connection)
                continue
            if request and os.fork() == 0:
                listener.close()
                for held in holders:
                    held.close()
                try:
                    if request.get("log"):
                        detach(connection, request)
                    serve(connection, request, streams)
                finally:
                    os._exit(0)
            connection.close()
            for descriptor in streams:
                os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not holders:
            return


def main(path: str) -> None:
    """Go into the background, import everything, and serve at a socket."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        sys.exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    preload()
    gc.freeze()  # or each child would copy the pages of all objects as it collects garbage
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        os.write(writer, b"1")
        os.close(writer)
        serve_all(listener)
        Path(path).unlink()  # before the socket closes: its next owner may be waiting


if __name__ == "__main__":
    main(sys.argv[1])
