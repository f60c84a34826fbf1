"""Imports point down, plugins see the face alone, and reading commands stay light.

Read from the import statements, those inside functions and under TYPE_CHECKING included.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import genbench

ROOT = Path(__file__).parents[1]
CORE, PLUGINS = ROOT / "genbench", ROOT / "plugins"

# Each room and the level it stands on; it may import what stands below it, and itself.
LEVELS = {
    "errors": 0,
    "hookspecs": 0,
    "formatting": 0,
    "pixels": 0,
    "files": 1,
    "contracts": 1,
    "spec": 1,
    "settings": 2,
    "events": 2,
    "registration": 2,
    "registry": 3,
    "engine": 3,
    "store": 3,
    "pictures": 3,
    "planning": 4,
    "evaluation": 4,
    "scaffold": 4,
    "features": 4,
    "compare": 4,
    "exporting": 5,
    "latent": 5,
    "health": 5,
    "report": 5,
    "doctor": 6,
    "live": 6,
    "work": 6,
    "runner": 7,
    "testing": 7,
    "study": 7,
    "tuning": 8,
    "cli": 9,
    "interactive": 9,
    "__main__": 10,
}
# Rooms that must not see one another though their levels would allow it.
APART = {
    "engine": {"registry", "store", "rich", "typer", "sqlalchemy"},
    "store": {"engine", "evaluation", "registry", "torch", "numpy"},
    "registry": {"engine", "store", "settings", "torch", "numpy"},
    "planning": {"engine", "store", "torch", "numpy"},
    "evaluation": {"store", "registry"},
    "study": {"engine", "torch", "numpy"},
    "work": {"engine", "torch", "numpy"},
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


def module_name(path: Path) -> str:
    base = CORE.parent if CORE in path.parents else PLUGINS
    return ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


def test_no_files_import_one_another_in_a_circle():
    known = {module_name(path): path for path in (*sources(CORE), *sources(PLUGINS))}
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        if module == "genbench":
            continue  # the face shows what stands in all rooms, lazily
        graph[module] = {
            f"{source}.{name}" if f"{source}.{name}" in known else source
            for source, names in imports(path)
            for name in (names or ("",))
            if source in known and source != "genbench"
        } - {module}
    assert len(list(TopologicalSorter(graph).static_order())) > 300


def test_the_plan_in_the_documentation_is_the_tree():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)
    assert {name: int(floor) for floor, name in rows} == {
        name: floor for name, floor in LEVELS.items() if name != "__main__"
    }
    rooms = {
        path.stem
        for path in CORE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms == {"__init__", *LEVELS}


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
    assert not {"torch", "numpy", "alembic", "sqlalchemy", "sklearn", "matplotlib"} & modules
    assert not {name for name in modules if name in ("genbench_vae.vae", "genbench_gan.gan")}


def test_watching_the_store_loads_no_torch(tmp_path):
    """The other commands that read are in tests/reading/test_reading.py."""
    from genbench.store import Store

    Store.open(tmp_path / "runs.db", mode="create").close()
    code, modules = loaded(["watch"], tmp_path)
    assert code == 3
    assert "sqlite3" in modules
    assert not {"torch", "numpy", "alembic", "matplotlib"} & modules


def test_a_run_that_is_not_compiled_loads_no_compiler(tmp_path):
    """TorchDynamo takes as long to import as torch itself."""
    small = ["--set", "data.size=8", "--set", "hidden=[16]", "--metric", "fd_pixel", "--no-watch"]
    code, modules = loaded(["run", "vae", "digits", "--epochs", "1", *small], tmp_path)
    assert code == 0
    assert "torch" in modules
    assert not {"torch._dynamo", "torch._inductor", "triton", "torchvision", "sympy"} & modules
