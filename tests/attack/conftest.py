"""What the attacks share: command lines by the thousand, a store to spoil, and a tally to print."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import TALLY, CommandLine


@pytest.fixture(scope="session")
def genbench(command_line: CommandLine) -> CommandLine:
    return command_line


TINY = (
    *("--device", "cpu", "--epochs", "2", "--set", "data.size=8", "--batch-size", "200"),
    *("--metric", "fd_pixel"),
)
VAE = ("--set", "hidden=[16]")
SMALL = ("--set", "g_hidden=[16]", "--set", "d_hidden=[16]")


@pytest.fixture(scope="session")
def furnished(genbench: CommandLine, once: Callable[..., Path]) -> Path:
    """A folder with a store of three tiny runs (a VAE, two seeds of a GAN), and one in a zip."""

    def fill(folder: Path) -> None:
        for arguments in (
            ("run", "vae", "digits", *TINY, *VAE, "--name", "parent", "--tag", "a"),
            ("run", "gan", "digits", *TINY, *SMALL),
            ("run", "gan", "digits", *TINY, *SMALL, "--seed", "1"),
            ("edit", "parent", "--note", "a note"),
            ("export", "bundle.zip", "parent"),
        ):
            answer = genbench(*arguments, folder=folder)
            assert answer.code == 0, answer.err

    return once("furnished", fill)


@pytest.fixture
def spoiled(furnished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be spoiled."""
    shutil.copytree(furnished, tmp_path / "spoiled")
    return tmp_path / "spoiled"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY:
        told = ", ".join(f"{name}: {count}" for name, count in sorted(TALLY.items()))
        terminalreporter.write_line(f"attack: {sum(TALLY.values())} command lines; {told}")
