"""What the attacks share: command lines by the thousand, a store to spoil, and a tally to print."""

from __future__ import annotations

import shutil
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
SMALL = ("--set", "g_hidden=[16]", "--set", "d_hidden=[16]")


@pytest.fixture(scope="session")
def furnished(genbench: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of three tiny runs (a VAE, two seeds of a GAN), and one in a zip."""
    folder = tmp_path_factory.mktemp("furnished")
    for arguments in (
        ("run", "vae", "digits", *TINY, "--set", "hidden=[16]", "--name", "parent", "--tag", "a"),
        ("run", "gan", "digits", *TINY, *SMALL),
        ("run", "gan", "digits", *TINY, *SMALL, "--seed", "1"),
    ):
        answer = genbench(*arguments, folder=folder)
        assert answer.code == 0, answer.err
    assert genbench("edit", "parent", "--note", "a note", folder=folder).code == 0
    assert genbench("export", "bundle.zip", "parent", folder=folder).code == 0
    return folder


@pytest.fixture
def spoiled(furnished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be spoiled."""
    shutil.copytree(furnished, tmp_path / "spoiled")
    return tmp_path / "spoiled"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY:
        told = ", ".join(f"{name}: {count}" for name, count in sorted(TALLY.items()))
        terminalreporter.write_line(f"attack: {sum(TALLY.values())} command lines; {told}")
