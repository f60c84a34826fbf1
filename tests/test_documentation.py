"""Every command that the documentation shows really runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CommandLine
from PIL import Image
from small_files import small_mnist, small_pictures

import genbench
import genbench.testing
from genbench.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
SHELL = ("bash", "console", "sh", "shell")
INSTALL = "pip install -e ./"
LONG = re.compile(r"imagenette|celeba|--listen|--preset burda2016|--launcher|launch local")
"""Commands that train for long, or need data or packages that aren't here, get `--dry-run`."""
CODERS = ("vae", "cvae", "ae", "dae", "cae", "vae-gmm", "vae-bernoulli", "aae", "avb", "cvae-gan")
TINY = """
samples = 100
watch = false
[model.gan]
g_hidden = [32]
d_hidden = [32]
[model.dcgan]
g_channels = 8
d_channels = 8
[model.pixelcnn]
layers = 2
channels = 4
[model.r3gan]
channels = 8
[model.realnvp]
channels = 4
[model.stargan]
g_channels = 4
d_channels = 4
[model.vaegan]
vae_epochs = 2
vae_hidden = [32]
channels = [4, 8]
conv_hidden = 32
latent_channels = 8
[model.vq-vae]
code_epochs = 2
channels = [4, 8]
prior_width = 8
[model.flow-matching]
width = 16
depth = 1
patch = 4
channels = [8]
[data.digits]
size = 8
[data.gaussians-8]
train = 2000
test = 500
[data.gaussians-25]
train = 2000
test = 500
[sampler.ddls]
steps = 10
burn_in = 10
""" + "".join(
    f"[model.{name}]\nhidden = [32]\nchannels = [4, 8]\nconv_hidden = 32\n" for name in CODERS
)
"""Settings of the folder in which the pages' commands run; what a command gives itself counts."""


def commands(page: Path) -> list[str]:
    """The genbench and pip commands of a page's shell blocks, without prompts and comments."""
    shown = "".join(block[3] for block in BLOCK.finditer(page.read_text()) if block[2] in SHELL)
    lines = [line.strip() for line in shown.replace("\\\n", " ").splitlines()]
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in lines]
    return [line for line in lines if re.match(rf"((\w+=\S+ )*genbench|{INSTALL})", line)]


@pytest.fixture(scope="session")
def workplace(command_line: CommandLine, once: Callable[..., Path]) -> Path:
    """A folder with small data sets, the studies, and a store of one trained run."""

    def fill(folder: Path) -> None:
        small_mnist(folder / "data", "MNIST")
        small_mnist(folder / "data", "FashionMNIST")
        small_pictures(folder / "pictures")
        shutil.copytree(ROOT / "studies", folder / "studies")
        (folder / "genbench.toml").write_text(TINY)
        run(command_line, "genbench run vaegan digits", folder)

    return once("workplace", fill)


def run(command_line: CommandLine, command: str, folder: Path) -> None:
    words = shlex.split(command)
    environ = {"GENBENCH_EPOCHS": "2", "PYTHONPATH": str(folder / "site")}
    if "image-folder" in command:  # for other metrics a classifier of the folder is trained
        environ["GENBENCH_METRICS"] = "fd_pixel"
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if target else words
    while "=" in words[0]:
        name, _, environ[name] = words.pop(0).partition("=")
    answer = command_line(*words[1:], folder=folder, limit=600, env=environ)
    assert answer.code == 0, f"{command}\n{answer.out}\n{answer.err}"
    assert "Traceback" not in answer.err, f"{command}\n{answer.err}"
    if target:
        (folder / target).write_text(answer.out)


def install(command: str, folder: Path) -> None:
    """Install a plugin that a page has made, into a folder that the commands after it see."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    source = command.removeprefix("pip install -e ")
    subprocess.run([*pip, *how, source], cwd=folder, check=True)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_command_of_the_documentation_runs(page, command_line, workplace, tmp_path):
    shutil.copytree(workplace, tmp_path / "here")
    only_planned = page.name == "gallery.md"  # its models are trained by the tests of the contract
    if only_planned:
        (tmp_path / "here" / "genbench.toml").unlink()
    for command in commands(page):
        if command.startswith(INSTALL):
            install(command, tmp_path / "here")
        else:
            planned = only_planned or LONG.search(command)
            run(command_line, f"{command} --dry-run" if planned else command, tmp_path / "here")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_command_stands_in_a_block_that_is_tested(page):
    text = page.read_text()
    unnamed = "".join(block[3] for block in BLOCK.finditer(text) if not block[2])
    indented = "\n".join(re.findall(r"^(?: {4}|\t).*", BLOCK.sub("", text), re.MULTILINE))
    for untested in (unnamed, indented):
        found = re.search(r"^.*(?<![`\w])genbench [a-z].*", untested, re.MULTILINE)
        assert found is None, f"{page.name}: put this into a ```bash block: {found and found[0]}"


def test_every_script_of_a_shell_block_is_there():
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            if block[2] in SHELL:
                for path in re.findall(
                    r"\b(?:scripts|benchmarks|tests|examples)/[\w/.]+", block[3]
                ):
                    assert (ROOT / path).exists(), f"{page.name} runs {path}"


def test_the_api_page_has_every_public_name():
    listed = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    face = [f"genbench.{name}" for name in genbench.__all__ if name != "__version__"]
    kit = [f"genbench.testing.{name}" for name in genbench.testing.__all__]
    assert sorted(listed) == sorted(face + kit)


def test_the_gallery_has_every_model_with_its_picture():
    page = (ROOT / "docs" / "gallery.md").read_text()
    names = re.findall(r"^### `([\w-]+)`$", page, re.MULTILINE)
    registered = Registry.from_environment().of("model")
    assert sorted(names) == sorted(model.name for model in registered)
    for name in names:
        with Image.open(ROOT / "docs" / "images" / "gallery" / f"{name}.png") as picture:
            assert len(picture.getcolors()) > 8, f"the picture of {name} is empty"


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
