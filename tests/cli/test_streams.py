"""Closed, broken and full streams, ASCII terminals: a sentence or silence, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CommandLine

from genbench.store import Store
from genbench.store.records import Status

GENBENCH = f"'{sys.executable}' -m genbench"
"""A real start of the program; ``genbench`` is one in a fork."""
SMALL = "--set data.size=8 --set hidden=[8] --batch-size 240 --device cpu"
RUN = f"genbench run vae digits {SMALL} --epochs 5 --metric fd_pixel --samples 64 --no-watch"

MUCH = "query 'select a.* from points a, points b'"
"""More than a pipe holds."""
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shell(command_line: CommandLine) -> Shell:
    """Runs a line of bash in a folder."""
    path = f"{command_line.python.parent}{os.pathsep}{os.environ['PATH']}"

    def call(line: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            cwd=folder,
            env={**os.environ, "PATH": path, **environ},
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture(scope="module")
def folder(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that has one finished run."""
    folder = tmp_path_factory.mktemp("streams")
    assert shell(f"{RUN} -q", folder).returncode == 0
    return folder


@pytest.mark.parametrize("command", ["runs", "show @1", MUCH])
def test_a_reader_that_goes_away_ends_the_program_well(shell, folder, command) -> None:
    done = shell(f"genbench {command} | head -1", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_run_with_a_stderr_that_nobody_reads_goes_on_and_finishes(shell, tmp_path) -> None:
    done = shell(f"{RUN} -v 2>&1 | head -1", tmp_path)
    assert done.returncode == 0
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.run("@1").status is Status.FINISHED
        assert store.run("@1").epochs_done == 5


@pytest.mark.parametrize(
    "command",
    ["genbench runs", "genbench runs --json", "genbench --help", f"{GENBENCH} query 'select 1'"],
)
@pytest.mark.parametrize(("where", "code"), [(">&-", 2), ("> /dev/full", 5)])
def test_a_stdout_that_cannot_be_written_is_one_sentence(
    shell, folder, command, where, code
) -> None:
    done = shell(f"{command} {where}", folder)
    assert done.returncode == code
    [line] = done.stderr.splitlines()
    assert line.startswith("genbench: error: the output can't be written to stdout")


def test_what_is_closed_is_never_given_to_a_file_of_the_program(shell, tmp_path) -> None:
    """Else the words for a person would be written into the store."""
    assert shell(f"{RUN} -v <&- >&- 2>&-", tmp_path).returncode == 0
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.run("@1").status is Status.FINISHED
        assert store.query("PRAGMA integrity_check")[1] == [("ok",)]


@pytest.mark.parametrize("streams", ["<&-", "2>&-", "<&- 2>&-", "2> /dev/full"])
def test_a_closed_stdin_or_stderr_changes_nothing(shell, folder, streams) -> None:
    start = GENBENCH if streams == "<&- 2>&-" else "genbench"
    done = shell(f"{start} runs --json {streams}", folder)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["runs"]) == 1
    assert shell(f"genbench show nothing {streams}", folder).returncode == 3


def test_an_ascii_terminal_gets_escapes_for_what_it_lacks(shell, folder) -> None:
    done = shell(f"{GENBENCH} runs", folder, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "\\u2500" in done.stdout


def test_python_looks_for_garbage_rarely_until_a_run_starts(folder) -> None:
    """An epoch is trained with the thresholds that Python had; a reading command keeps others."""
    script = (
        "import gc, sys; usual = gc.get_threshold(); sys.argv[1:] = sys.stdin.read().split()\n"
        "from genbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(gc.get_threshold() == usual, gc.get_threshold()[0] > 10 * usual[0])\n"
    )
    run = f"run vae digits {SMALL} --epochs 1 --metric fd_pixel --samples 64 --no-watch -q"
    for words, expected in (("runs -q", "False True"), (run, "True False")):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, input=words, text=True, capture_output=True
        )
        assert done.stdout.splitlines()[-1] == expected, done.stderr
