"""The registry: names, owners, lazy targets, and plugins that fail alone."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

import genbench
from genbench.errors import PluginError, UnknownNameError
from genbench.registry import Registry


def plugin(*names: str, target: str = "no_such_module:Model", fail: bool = False, **more: Any):
    class Plugin:
        @genbench.hookimpl
        def genbench_register_models(self, register):
            for name in names:
                register(name, target, **more)
            if fail:
                raise ValueError("half way")

    Plugin.__name__ = "-".join(names)
    return Plugin()


def test_a_listing_imports_no_target():
    registry = Registry()
    registry.add(plugin("b", "a", summary="s", capabilities=("generates",)))
    assert [(r.name, r.summary, r.owner) for r in registry.of("model")] == [
        ("a", "s", "b-a"),
        ("b", "s", "b-a"),
    ]
    assert "no_such_module" not in sys.modules


def test_a_taken_name_names_both_owners_and_leaves_the_first():
    registry = Registry()
    registry.add(plugin("vae"))
    info = registry.add(plugin("other", "vae"))
    assert info.error == "model 'vae' is already registered by vae"
    assert [r.name for r in registry.of("model")] == ["vae"]
    assert registry.broken == [info]


def test_a_plugin_that_raises_half_way_leaves_nothing_behind():
    registry = Registry()
    info = registry.add(plugin("half", fail=True))
    assert "ValueError: half way" in info.error
    assert "half way" in info.trace
    assert list(registry.of("model")) == []
    assert registry.add(plugin("half")).error is None


def test_a_misspelt_hook_is_an_error_with_the_right_name():
    class Plugin:
        @genbench.hookimpl
        def genbench_register_modles(self, register):
            raise AssertionError("never called")

    info = Registry().add(Plugin())
    assert info.error == (
        "unknown hook 'genbench_register_modles'; did you mean 'genbench_register_models'?"
    )


def test_a_hook_with_a_wrong_argument_is_an_error():
    class Plugin:
        @genbench.hookimpl
        def genbench_register_models(self, registry):
            raise AssertionError("never called")

    assert "registry" in Registry().add(Plugin()).error


@pytest.mark.parametrize(
    ("target", "details", "words"),
    [
        ("module", {}, "'module:attribute'"),
        (ModuleType, {}, "'module:attribute'"),
        ("module:X", {"sumary": "s"}, "sumary"),
    ],
)
def test_a_wrong_registration_says_what_was_expected(target, details, words):
    assert words in Registry().add(plugin("m", target=target, **details)).error


def test_strict_raises_at_the_first_broken_plugin_with_the_mend():
    with pytest.raises(PluginError, match="GENBENCH_DISABLE_PLUGINS=half") as caught:
        Registry().add(plugin("half", fail=True), strict=True)
    assert caught.value.exit_code == 4


def test_an_unknown_name_gets_the_nearest_and_where_to_look():
    registry = Registry()
    registry.add(plugin("dcgan", "vae"))
    with pytest.raises(UnknownNameError) as caught:
        registry.get("model", "dcgn")
    assert str(caught.value) == "unknown model 'dcgn'; did you mean 'dcgan'? See: genbench models"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:Model", "ModuleNotFoundError"),
        ("leaving:Model", "SystemExit"),
        ("json:Model", "has no attribute 'Model'"),
    ],
)
def test_a_target_that_cannot_be_had_names_its_owner(tmp_path, monkeypatch, target, words):
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.add(plugin("m", target=target))
    with pytest.raises(PluginError, match=f"model 'm' of m can't be loaded from '{target}'") as e:
        registry.target("model", "m")
    assert words in str(e.value)


def test_a_part_without_settings_or_presets_has_none():
    registry = Registry()
    registry.add(plugin("m"))
    assert registry.settings("model", "m") is None
    assert registry.presets("m") == ()


def test_an_entry_point_that_leaves_python_is_a_broken_plugin(tmp_path, monkeypatch):
    (tmp_path / "quitter.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    info = registry.load(EntryPoint(name="quitter", value="quitter", group="genbench"))
    assert "SystemExit: 3" in info.error
    assert "GENBENCH_DISABLE_PLUGINS=quitter" in info.mend


def test_ctrl_c_while_a_plugin_loads_is_not_its_fault(tmp_path, monkeypatch):
    (tmp_path / "impatient.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Registry().load(EntryPoint(name="impatient", value="impatient", group="genbench"))


def test_the_lists_of_the_environment_choose_the_plugins():
    def loaded(**environ: str) -> dict[str, str | None]:
        registry = Registry.from_environment(environ=environ)
        return {info.name: info.disabled for info in registry.plugins if info.builtin}

    assert set(loaded().values()) == {None}
    # The allowlist is for installed plugins; the built-in ones stay.
    assert set(loaded(GENBENCH_PLUGINS="").values()) == {None}
    denied = loaded(GENBENCH_DISABLE_PLUGINS="gan, vae")
    assert denied["gan"] == denied["vae"] == "GENBENCH_DISABLE_PLUGINS"
    assert denied["samplers"] is None
