"""plugins list|new|doctor, doctor, and broken plugins that are really installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from command_line import Answer, CommandLine

from genbench import DataAccess
from genbench.doctor.machine import _name_of_inception_weights, examine
from genbench.registry import Registry

GOOD = """
import genbench

@genbench.hookimpl
def genbench_register_models(register):
    register("{name}", "{target}"{more})
"""
BROKEN = {
    "raises": ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
    "misspelt": (
        GOOD.format(name="m", target="a:b", more="").replace("_models", "_modells"),
        "did you mean 'genbench_register_models'?",
    ),
    "taken": (
        GOOD.format(name="vae", target="a:b", more=""),
        "model 'vae' is already registered by genbench",
    ),
    "quits": ("import sys\nsys.exit(7)", "SystemExit: 7"),
    "dies": ("import os\nos._exit(7)", "os._exit(7)"),
    "absent": (None, "ModuleNotFoundError"),
}


def install(site: Path, name: str, code: str | None) -> None:
    """Lay down what pip would: a module and its dist-info with an entry point."""
    info = site / f"bench_{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bench-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[genbench]\n{name} = bench_{name}\n")
    if code is not None:
        (site / f"bench_{name}.py").write_text(code)


@pytest.fixture
def genbench(command_line: CommandLine) -> Callable[..., Answer]:
    """Runs a command line that sees what is installed in a folder, which is its own."""

    def call(site: Path, *words: str, environ: Mapping[str, str] | None = None) -> Answer:
        return command_line(*words, folder=site, env={"PYTHONPATH": str(site), **(environ or {})})

    return call


def process(site: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, which has imported nothing yet."""
    return subprocess.run(
        [sys.executable, "-m", "genbench", *words],
        capture_output=True,
        text=True,
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site), **environ},
    )


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_never_takes_the_command_line_down(genbench, tmp_path, name):
    code, error = BROKEN[name]
    install(tmp_path, name, code)
    done = genbench(tmp_path, "models")
    assert done.code == 0
    assert "vae" in done.out
    warning = next(line for line in done.err.splitlines() if name in line)
    assert f"plugin '{name}' (bench-{name} 1.2) is broken" in warning
    assert error in warning
    assert f"pip uninstall bench-{name}" in warning
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["models", "--help"], ["run", "-h", "--strict-plugins"]],
    ids=" ".join,
)
def test_help_loads_no_plugin(genbench, tmp_path, arguments):
    install(tmp_path, "dies", "open('loaded', 'w').close()\nraise RuntimeError")
    done = genbench(tmp_path, *arguments)
    assert (done.code, done.err) == (0, "")
    assert not (tmp_path / "loaded").exists()


def test_what_a_plugin_prints_spoils_no_json(genbench, tmp_path):
    code = "import os\nprint('hello')\nos.system('echo child')\n"
    install(tmp_path, "talks", code + GOOD.format(name="talks", target="a:b", more=""))
    done = genbench(tmp_path, "models", "--json")
    assert "talks" in {model["name"] for model in json.loads(done.out)["models"]}
    assert {"hello", "child"} <= set(done.err.splitlines())


def test_a_ctrl_c_while_a_plugin_loads_ends_with_130(genbench, tmp_path):
    install(tmp_path, "slow", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = genbench(tmp_path, "models")
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_crash_of_the_interpreter_names_the_plugins_file(tmp_path):
    install(tmp_path, "crash", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    done = process(tmp_path, "models")
    assert done.returncode == -signal.SIGSEGV
    assert "bench_crash.py" in done.stderr


def test_a_plugin_that_is_slow_or_heavy_or_empty_is_named(tmp_path):
    heavy = "import time, numpy\ntime.sleep(0.5)" + GOOD.format(name="m", target="a:b", more="")
    install(tmp_path, "heavy", heavy)
    install(tmp_path, "empty", "")
    found = json.loads(process(tmp_path, "plugins", "--json").stdout)["plugins"]
    found = {plugin["name"]: plugin for plugin in found}
    assert found["heavy"]["import_s"] > 0.5
    assert "loads numpy" in found["heavy"]["remarks"][0]
    assert found["empty"]["status"] == "empty"
    assert not any(plugin["remarks"] for plugin in found.values() if plugin["builtin"])
    alone = {"GENBENCH_PLUGINS": "heavy,empty"}  # the built-in parts would be imported too
    for command in (["plugins"], ["doctor"]):
        told = process(tmp_path, *command, **alone).stdout
        assert "and loads numpy, in every command" in told
        assert "it registers nothing" in told
    doctor = process(tmp_path, "plugins", "doctor", **alone)
    assert doctor.stderr.count("loads numpy") == 1


@pytest.mark.parametrize("name", BROKEN)
def test_strict_plugins_makes_a_broken_plugin_an_error(genbench, tmp_path, name):
    install(tmp_path, name, BROKEN[name][0])
    done = genbench(tmp_path, "models", "--strict-plugins")
    assert done.code == 4
    assert BROKEN[name][1] in done.err
    assert done.out == ""


def test_broken_and_disabled_plugins_are_listed_as_such(genbench, tmp_path):
    install(tmp_path, "raises", BROKEN["raises"][0])
    install(tmp_path, "fine", GOOD.format(name="fine", target="a:b", more=""))
    found = json.loads(genbench(tmp_path, "plugins", "list", "--json").out)["plugins"]
    status = {plugin["name"]: plugin["status"] for plugin in found}
    assert (status["raises"], status["fine"], status["vae"]) == ("broken", "ok", "ok")
    fine = next(plugin for plugin in found if plugin["name"] == "fine")
    assert fine["registers"] == ["model fine"]
    assert genbench(tmp_path, "plugins").out.count("no such luck") == 1


@pytest.mark.parametrize(
    "environ", [{"GENBENCH_DISABLE_PLUGINS": "raises"}, {"GENBENCH_PLUGINS": "fine"}]
)
def test_a_plugin_that_is_left_out_is_not_even_imported(genbench, tmp_path, environ):
    install(tmp_path, "raises", BROKEN["raises"][0])
    install(tmp_path, "fine", GOOD.format(name="fine", target="a:b", more=""))
    done = genbench(tmp_path, "plugins", "--json", environ=environ)
    assert done.err == ""
    found = {plugin["name"]: plugin for plugin in json.loads(done.out)["plugins"]}
    assert found["raises"]["status"] == "disabled"
    assert found["raises"]["disabled_by"] in environ
    assert found["fine"]["status"] == "ok"


def test_plugins_doctor_says_what_is_wrong_and_who_owns_it(genbench, tmp_path):
    install(tmp_path, "sick", GOOD.format(name="sick", target="bench_sick:Model", more=""))
    done = genbench(tmp_path, "plugins", "doctor")
    assert done.code == 4
    assert "can't be loaded from 'bench_sick:Model'" in done.out
    assert "bench-sick 1.2" in done.err


def test_plugins_doctor_finds_the_built_in_plugins_sound(genbench, tmp_path):
    done = genbench(tmp_path, "plugins", "doctor", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "schema_version": 1,
        "ok": True,
        "problems": [],
        "remarks": {},
    }


# --- plugins new ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["model", "dataset", "sampler", "metric", "listener", "compressor"]
)
def test_a_new_package_passes_its_own_tests(command_line, genbench, tmp_path, kind):
    done = genbench(tmp_path, "plugins", "new", "my-thing", "--kind", kind)
    assert done.code == 0, done.err
    folder = tmp_path / "genbench-my-thing"
    assert (folder / "pyproject.toml").is_file()
    assert str(folder.name) in done.out
    command = [str(command_line.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=folder, check=True)
    ruff = [sys.executable, "-m", "ruff", "format", "--line-length", "100", "--check", "."]
    subprocess.run(ruff, cwd=folder, check=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My_Thing", "lower-case letters"),
        ("vae", "already registered by genbench"),
        ("../x", "lower-case letters"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(
    genbench, tmp_path, name, words
):
    done = genbench(tmp_path, "plugins", "new", name)
    assert done.code == 2
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_kind_without_a_template_is_refused_in_one_sentence(genbench, tmp_path):
    done = genbench(tmp_path, "plugins", "new", "mine", "--kind", "launcher")
    assert done.code == 2
    assert "there is no template for a launcher" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_never_written_into(genbench, tmp_path):
    (tmp_path / "genbench-mine").mkdir()
    done = genbench(tmp_path, "plugins", "new", "mine")
    assert done.code == 2
    assert "already exists" in done.err
    assert list((tmp_path / "genbench-mine").iterdir()) == []


# --- doctor -----------------------------------------------------------------------------------


def test_doctor_reports_the_machine_and_passes_where_nothing_is_broken(genbench, tmp_path):
    environ = {"GENBENCH_CACHE": str(tmp_path / "cache")}
    done = genbench(tmp_path, "doctor", "--json", environ=environ)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["ok"] is True
    names = {(finding["group"], finding["name"]) for finding in found["findings"]}
    assert {("versions", "torch"), ("devices", "cpu"), ("store", "store")} <= names
    assert {("data", "digits"), ("caches", "cache"), ("plugins", "vae")} <= names
    assert not (tmp_path / "runs.db").exists()
    assert not (tmp_path / "cache").exists()


def test_doctor_imports_nothing_that_takes_seconds(tmp_path):
    """Its second process imports torch meanwhile."""
    show = [sys.executable, "-X", "importtime", "-m", "genbench", "doctor"]
    done = subprocess.run(show, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "devices    cpu" in done.stdout
    assert not {"torch", "torch_fidelity", "torchvision", "sklearn", "scipy"} & imported


def test_doctor_names_the_weights_that_torch_fidelity_downloads():
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    assert _name_of_inception_weights() == Path(URL_INCEPTION_V3).name


def test_doctor_fails_with_the_exit_code_of_what_is_broken(genbench, tmp_path):
    install(tmp_path, "raises", BROKEN["raises"][0])
    done = genbench(tmp_path, "doctor")
    assert done.code == 4
    assert "no such luck" in done.out


def test_a_store_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "runs.db").write_text("no database")
    access = DataAccess(root=tmp_path / "data", cache=tmp_path / "cache")
    findings = examine(Registry(), access, str(tmp_path / "runs.db"))
    faults = [finding for finding in findings if finding.error]
    assert [(fault.name, fault.mark, fault.error.exit_code) for fault in faults] == [
        ("store", "broken", 5)
    ]
