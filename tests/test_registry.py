"""The registry: names, owners, lazy targets, and plugins that fail alone."""

from __future__ import annotations

import os
import subprocess
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


def test_strict_raises_at_the_first_broken_plugin_with_the_fix():
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
    assert "GENBENCH_DISABLE_PLUGINS=quitter" in info.hint


def load(folder, monkeypatch, code: str, name: str):
    (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    return Registry().load(EntryPoint(name=name, value=name, group="genbench"))


def test_a_ctrl_c_that_was_pressed_while_a_plugin_loads_is_not_its_fault(tmp_path, monkeypatch):
    pressed = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, monkeypatch, pressed, "impatient")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise KeyboardInterrupt", "nobody pressed Ctrl-C"),
        ("import os\nos._exit(3)", r"os._exit(3)"),
        ("from os import _exit\n_exit(4)", r"os._exit(4)"),
    ],
)
def test_a_plugin_that_ends_the_process_is_a_broken_one(tmp_path, monkeypatch, code, words):
    info = load(tmp_path, monkeypatch, code, f"leaver{abs(hash(code))}")
    assert words in info.error
    assert info.status == "broken"


def test_a_forked_child_of_a_plugin_still_ends_by_exit(tmp_path, monkeypatch):
    code = """
import os
if (child := os.fork()) == 0:
    os._exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
leave = os._exit
"""
    before = os._exit
    load(tmp_path, monkeypatch, code, "forking")
    assert sys.modules["forking"].status == 7
    assert os._exit is before


def test_what_a_plugin_prints_on_import_goes_to_stderr(tmp_path, monkeypatch, capfd):
    code = "import os, sys\nprint('hello')\nsys.stdout.flush()\nos.system('echo child')\n"
    load(tmp_path, monkeypatch, code, "talkative")
    print("data", flush=True)
    printed = capfd.readouterr()
    assert printed.out == "data\n"
    assert "hello" in printed.err
    assert "child" in printed.err


def test_what_a_target_prints_on_import_goes_to_stderr_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "banner.py").write_text("print('welcome')\nclass Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    registry.add(plugin("m", target="banner:Model"))
    registry.target("model", "m")
    assert capsys.readouterr().out == ""


HOOK = """
import genbench
@genbench.hookimpl
def genbench_register_models(register):
    register("{name}", "a:b")
"""


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("sleepy", "import time\ntime.sleep(0.6)" + HOOK, "its import takes 0."),
        ("loading", "import sklearn" + HOOK, "loads sklearn"),
        ("empty", "", "registers nothing"),
        ("bare", HOOK.replace("@genbench.hookimpl", ""), "genbench_register_models isn't marked"),
    ],
)
def test_what_works_but_is_not_right_is_remarked(tmp_path, monkeypatch, name, code, words):
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    (tmp_path / "sklearn.py").write_text("")
    info = load(tmp_path, monkeypatch, code.format(name=name), name)
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    assert info.error is None
    assert len(info.remarks) == 1
    assert words in info.remarks[0]


@pytest.mark.parametrize(
    "broken", ["from genbench import Tomorrow", "raise ValueError", "match = = 1", ""]
)
def test_a_plugin_for_a_later_contract_gets_a_sentence(tmp_path, monkeypatch, broken):
    name = f"later{abs(hash(broken))}"
    later = genbench.CONTRACT_VERSION + 1
    info = load(tmp_path, monkeypatch, f"genbench_contract = {later}\n{broken}\n", name)
    assert info.error == (
        f"it needs a newer genbench, with contract {later}; genbench {genbench.__version__} has "
        f"contract {genbench.CONTRACT_VERSION}"
    )
    assert info.hint.startswith("pip install --upgrade 'genbench'")


def test_a_plugin_for_this_contract_is_taken_and_a_wrong_one_is_told(tmp_path, monkeypatch):
    this = f"genbench_contract = {genbench.CONTRACT_VERSION}" + HOOK.format(name="m")
    assert load(tmp_path, monkeypatch, this, "current").status == "ok"
    info = load(tmp_path, monkeypatch, 'genbench_contract = "new"', "odd")
    assert "must be a whole number" in info.error


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


def test_ctrl_c_while_a_plugin_is_imported_ends_a_command_without_a_word(tmp_path):
    """The handler that ends a command quietly is no ``os._exit`` of the plugin's."""
    (tmp_path / "slow_plugin.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    )
    info = tmp_path / "slow-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[genbench]\nslow = slow_plugin\n")
    done = subprocess.run(
        [sys.executable, "-m", "genbench", "models"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
