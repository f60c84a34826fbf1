"""Every command that the documentation shows really runs."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```(?:bash|console|sh)\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[str]:
    """The genbench commands of a page's shell blocks, prompts taken off, lines joined."""
    lines = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in lines]
    return [line for line in lines if line.startswith("genbench ")]


def small_mnist(root: Path, folder: str) -> None:
    """A few real digits in torchvision's layout."""
    images = load_digits().images.astype("uint8").repeat(4, 1).repeat(4, 2)[:, 2:30, 2:30] * 15
    labels = load_digits().target.astype("uint8")
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for split, part in (("train", slice(0, 300)), ("t10k", slice(300, 400))):
        x, y = images[part], labels[part]
        header = struct.pack(">IIII", 2051, len(x), 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + x.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, len(y)) + y.tobytes()
        )


def small_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (folder / label).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")


@pytest.fixture(scope="session")
def workplace(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small data sets, the studies, and a store of one trained run."""
    folder = tmp_path_factory.mktemp("workplace")
    small_mnist(folder / "data", "MNIST")
    small_mnist(folder / "data", "FashionMNIST")
    small_pictures(folder / "pictures")
    shutil.copytree(ROOT / "studies", folder / "studies")
    run(command_line, "genbench run vaegan digits --set vae_epochs=2", folder)
    return folder


def run(command_line: CommandLine, command: str, folder: Path) -> None:
    answer = command_line(
        *shlex.split(command)[1:], folder=folder, limit=600, env={"GENBENCH_EPOCHS": "2"}
    )
    assert answer.code == 0, f"{command}\n{answer.out}\n{answer.err}"
    assert "Traceback" not in answer.err, f"{command}\n{answer.err}"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda p: p.name)
def test_every_command_of_the_documentation_runs(page, command_line, workplace, tmp_path):
    shutil.copytree(workplace, tmp_path / "here")
    for command in commands(page):
        run(command_line, command, tmp_path / "here")


def test_the_readme_sets_up_with_exactly_two_commands():
    setup = [line for line in (ROOT / "README.md").read_text().splitlines() if "-m venv" in line]
    assert len(setup) == 2
    assert setup[0].endswith("genbench run vaegan digits")
    assert setup[1].endswith("-m pytest -n auto --dist worksteal")


def test_every_link_between_pages_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#:]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_test_that_the_promises_name_is_there():
    promises = (ROOT / "docs" / "promises.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", promises))
    assert len(named) > 10
    for test in named:
        assert (ROOT / test).exists(), f"docs/promises.md names {test}"
