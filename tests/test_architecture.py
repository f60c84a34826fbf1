"""Imports point down, plugins see the face alone, and reading commands stay light.

Read from the import statements, those inside functions and under TYPE_CHECKING included.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import genbench

ROOT = Path(__file__).parents[1]
CORE, PLUGINS = ROOT / "genbench", ROOT / "plugins"

# Each room and the level it stands on; it may import what stands below it, and itself.
LEVELS = {
    "errors": 0,
    "hookspecs": 0,
    "importing": 0,
    "installed": 1,
    "targets": 1,
    "capabilities": 2,
    "numbers": 0,
    "machine": 0,
    "wording": 0,
    "writing": 0,
    "tomlfile": 1,
    "normalising": 0,
    "pixels": 0,
    "scatter": 0,
    "colours": 0,
    "class_scatter": 1,
    "ridges": 2,
    "contracts": 1,
    "spec": 1,
    "templates": 1,
    "settings": 2,
    "events": 2,
    "registry": 3,
    "engine": 3,
    "datacheck": 2,
    "draws": 3,
    "features": 3,
    "calibration": 2,
    "evaluation": 4,
    "pictures": 3,
    "sheet": 4,
    "latent": 5,
    "store": 3,
    "config": 4,
    "configfile": 5,
    "resolve": 6,
    "choices": 7,
    "scaffold": 4,
    "diagnose": 4,
    "compare": 4,
    "testing": 5,
    "report": 5,
    "runner": 7,
    "study": 7,
    "leftovers": 4,
    "examination": 6,
    "cli": 8,
    "__main__": 9,
}
# Rooms that must not see one another though their levels would allow it.
APART = {
    "engine": {"registry", "store", "rich", "typer", "sqlalchemy"},
    "store": {"engine", "evaluation", "registry", "torch", "numpy"},
    "registry": {"engine", "store", "settings", "torch", "numpy"},
    "resolve": {"engine", "store", "torch", "numpy"},
    "evaluation": {"store", "registry"},
    "study": {"engine", "torch", "numpy"},
}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each imported module with the names taken from it; relative imports are not used here."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", tuple(alias.name for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(CORE).with_suffix("").parts[0]


def seen(path: Path) -> Iterator[str]:
    """The rooms and other top-level packages that a core file imports; the face itself is free."""
    for module, names in imports(path):
        parts = module.split(".")
        if parts[0] != "genbench":
            yield parts[0]
        elif len(parts) > 1:
            yield parts[1]
        else:
            yield from (name for name in names if name in LEVELS)


@pytest.mark.parametrize("path", sources(CORE), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    if here == "__init__":
        return  # the face shows what stands in all rooms, lazily
    assert here in LEVELS, f"give the room '{here}' its level"
    for other in seen(path):
        if other in LEVELS and other != here:
            assert LEVELS[other] < LEVELS[here], f"{here} imports {other}, which isn't below it"
        assert other not in APART.get(here, set()), f"{here} must not see {other}"


def test_the_core_never_imports_a_plugin():
    packages = {path.name for path in PLUGINS.iterdir() if path.is_dir()}
    assert packages
    for path in sources(CORE):
        found = packages & set(seen(path))
        assert not found, f"{path} imports {found}"


@pytest.mark.parametrize("path", sources(PLUGINS), ids=lambda p: str(p.relative_to(PLUGINS)))
def test_a_plugin_imports_only_the_face(path):
    for module, names in imports(path):
        if module.split(".")[0] != "genbench":
            continue
        assert module == "genbench", f"{module} is no part of the face"
        hidden = set(names) - set(genbench.__all__)
        assert not hidden, f"{hidden} are no names of the face"


def test_the_face_shows_every_name_it_promises():
    for name in genbench.__all__:
        assert getattr(genbench, name) is not None


# --- torch is imported late -------------------------------------------------------------------

LIGHT = [
    ["--help"],
    ["models"],
    ["datasets", "--json"],
    ["samplers"],
    ["metrics"],
    ["presets"],
    ["plugins"],
    ["info", "vae"],
    ["info", "digits"],
    ["run", "vae", "digits", "--dry-run"],
]
READING = [["runs"], ["compare"], ["show", "@1"], ["query", "select 1"]]
SCRIPT = """
import atexit, json, sys
from genbench.cli import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=open("modules.json", "w")))
main()
"""


def loaded(arguments: list[str], folder: Path) -> tuple[int, set[str]]:
    """The exit code of a command and the modules that it loaded."""
    environ = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
    )
    return done.returncode, set(json.loads((folder / "modules.json").read_text()))


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_a_listing_loads_no_heavy_module(arguments, tmp_path):
    code, modules = loaded(arguments, tmp_path)
    assert code == 0
    assert not {"torch", "numpy", "alembic", "sqlalchemy", "sklearn"} & modules
    assert not {name for name in modules if name in ("genbench_vae.vae", "genbench_gan.gan")}


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_reading_the_store_loads_no_torch(arguments, tmp_path):
    from genbench.store import Store

    Store.open(tmp_path / "runs.db", mode="create").close()
    code, modules = loaded(arguments, tmp_path)
    assert code in (0, 3)
    assert "sqlite3" in modules
    assert not {"torch", "numpy", "alembic"} & modules
