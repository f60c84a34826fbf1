"""A command line in a fork of the process that has imported everything (zygote.py).

This small program stands for the fork: it passes on its folder, environment, streams and signals,
and ends as the fork ends. It starts in 20 ms, because it imports little.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, python: str, module: str, *arguments: str) -> None:
    """Run ``-m module`` with the arguments; ``python`` is the `sys.executable` of the fork."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    closed = closed_streams()
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),  # noqa: PTH109  # pathlib takes long to import
        "python": python,
        "module": module,
        "env": dict(os.environ),
        "closed": closed,
        "fault": None,
        "limit": None,
    }
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], (0, 1, 2))
    for number in (0, 1, 2):  # who reads them waits for the fork only
        os.close(number)
    answers = connection.makefile()
    fork = int(answers.readline())
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: pass_on(fork, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    code = json.loads(answers.readline())["code"]
    if code < 0:
        if -code in SIGNALS:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def closed_streams() -> list[int]:
    """The standard streams that are closed; here, /dev/null takes their numbers."""
    closed = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    return closed


def pass_on(fork: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(fork, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
