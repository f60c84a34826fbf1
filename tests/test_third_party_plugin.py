"""The example plugin, really installed by pip and used through its entry point."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "third_party_plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed by pip, from a copy: a build writes beside its source."""
    pytest.importorskip("setuptools", reason="the example is built with setuptools")
    folder = tmp_path_factory.mktemp("third-party")
    source = shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    subprocess.run([*pip, *how, str(source)], check=True)
    return folder / "site"


def test_the_example_has_at_most_forty_lines_of_python():
    lines = 0
    for path in (EXAMPLE / "genbench_lsgan").glob("*.py"):
        text = path.read_text()
        docstring = ast.get_docstring(ast.parse(text), clean=False) or ""
        code = text.replace(f'"""{docstring}"""', "")
        lines += sum(1 for line in code.splitlines() if line.strip())
    assert 0 < lines <= 40


def test_an_installed_plugin_is_listed_through_its_entry_point(command_line, site, tmp_path):
    environ = {"PYTHONPATH": str(site)}
    listed = command_line("models", "--json", folder=tmp_path, env=environ)
    found = json.loads(listed.out)["models"]
    model = next(model for model in found if model["name"] == "lsgan-mini")
    assert model["owner"] == "genbench-lsgan 0.1.0"
    assert model["capabilities"] == ["generates"]


def test_an_installed_plugin_trains_and_scores_through_its_entry_point(
    command_line, site, tmp_path
):
    environ = {"PYTHONPATH": str(site)}
    ran = command_line(
        "run", "lsgan-mini", "digits", "--epochs", "1", "--set", "z_dim=8", "--metric", "fd_pixel",
        "--device", "cpu", "--json", folder=tmp_path, env=environ,
    )  # fmt: skip
    outcome = json.loads(ran.out)
    assert outcome["status"] == "finished"
    assert [score["metric"] for score in outcome["scores"]] == ["fd_pixel"]
    shown = json.loads(command_line("show", "@1", "--json", folder=tmp_path, env=environ).out)
    assert shown["model"] == "lsgan-mini"
    assert len(shown["epochs"]) == 1


def test_the_plugins_own_tests_pass(command_line, site, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    environ = {**os.environ, "PYTHONPATH": str(site)}
    pytest_run = [str(command_line.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    subprocess.run(pytest_run, cwd=tmp_path, env=environ, check=True)
