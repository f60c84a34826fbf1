"""What `plugins doctor` finds wrong with a registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import genbench
from genbench.doctor.parts import problems
from genbench.registry import Registry

CODE = """
import genbench

class Empty: pass

class Sampler:
    requires = ("generates",)
    def draw(self): ...
    def diagnostics(self): ...

class Metric(Sampler):
    uses = "everything"
    def begin(self): ...
    def update(self): ...
    def result(self): ...

class Model:
    def optimizers(self): ...
    def stages(self): ...

class Few(genbench.ModelSettings):
    z_dim: int = 3

class WrongDefault(genbench.ModelSettings):
    z_dim: int = "many"

class Undescribed(genbench.DatasetSettings):
    pass

PRESETS = (genbench.Preset(name="paper", source="s", settings={"zdim": 4}), "paper")
"""


def found(tmp_path: Path, monkeypatch: Any, kind: str, target: str, **details: Any) -> list[str]:
    (tmp_path / "patient.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)

    def hook(self, register):
        register("it", f"patient:{target}", **details)

    name = f"genbench_register_{kind}s"
    hook.__name__ = name
    plugin = type("Plugin", (), {name: genbench.hookimpl(hook)})()
    registry = Registry()
    assert registry.add(plugin).error is None
    return [problem.text for problem in problems(registry)]


@pytest.mark.parametrize(
    ("kind", "target", "details", "words"),
    [
        ("model", "Absent", {}, "has no attribute 'Absent'"),
        ("model", "Empty", {}, "Empty has no method 'optimizers'"),
        ("model", "Model", {"capabilities": ("generate",)}, "did you mean 'generates'?"),
        ("model", "Model", {"capabilities": ("encodes",)}, "Model has no method 'encode'"),
        ("model", "Model", {"settings": "patient:Empty"}, "not a subclass of genbench.Settings"),
        ("model", "Model", {"settings": "patient:WrongDefault"}, "'z_dim' = 'many'"),
        (
            "model",
            "Model",
            {"settings": "patient:Few", "presets": "patient:PRESETS"},
            "did you mean 'z_dim'?",
        ),
        (
            "model",
            "Model",
            {"settings": "patient:Few", "presets": "patient:PRESETS"},
            "'paper', which is not a genbench.Preset",
        ),
        ("dataset", "Empty", {}, "Empty has no method 'load'"),
        ("dataset", "Empty", {}, "a data set needs settings"),
        ("dataset", "Empty", {"settings": "patient:Undescribed"}, "its own describe()"),
        ("sampler", "Sampler", {}, "they must be equal"),
        ("sampler", "Empty", {}, "no class attribute 'requires'"),
        ("metric", "Metric", {"capabilities": ("generates",)}, "'samples' or 'model'"),
    ],
)
def test_each_fault_is_found(tmp_path, monkeypatch, kind, target, details, words):
    assert any(words in text for text in found(tmp_path, monkeypatch, kind, target, **details))


def test_a_sound_registration_has_no_fault(tmp_path, monkeypatch):
    assert found(tmp_path, monkeypatch, "model", "Model", settings="patient:Few") == []
    details = {"capabilities": ("generates",)}
    assert found(tmp_path, monkeypatch, "sampler", "Sampler", **details) == []
