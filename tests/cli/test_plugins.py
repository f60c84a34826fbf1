"""plugins list|new|doctor, doctor, and broken plugins that are really installed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

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


def genbench(
    site: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GENBENCH_")}
    return subprocess.run(
        [sys.executable, "-m", "genbench", *arguments],
        capture_output=True,
        text=True,
        cwd=site,
        env={**clean, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **(environ or {})},
    )


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_never_takes_the_command_line_down(tmp_path, name):
    code, error = BROKEN[name]
    install(tmp_path, name, code)
    done = genbench(tmp_path, "models")
    assert done.returncode == 0
    assert "vae" in done.stdout
    warning = next(line for line in done.stderr.splitlines() if name in line)
    assert f"plugin '{name}' (bench-{name} 1.2) is broken" in warning
    assert error in warning
    assert f"pip uninstall bench-{name}" in warning
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["models", "--help"], ["run", "-h", "--strict-plugins"]],
    ids=" ".join,
)
def test_help_loads_no_plugin(tmp_path, arguments):
    install(tmp_path, "dies", "open('loaded', 'w').close()\nraise RuntimeError")
    done = genbench(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "loaded").exists()


def test_what_a_plugin_prints_spoils_no_json(tmp_path):
    code = "import os\nprint('hello')\nos.system('echo child')\n"
    install(tmp_path, "talks", code + GOOD.format(name="talks", target="a:b", more=""))
    done = genbench(tmp_path, "models", "--json")
    assert "talks" in {model["name"] for model in json.loads(done.stdout)["models"]}
    assert {"hello", "child"} <= set(done.stderr.splitlines())


def test_a_ctrl_c_while_a_plugin_loads_ends_with_130(tmp_path):
    install(tmp_path, "slow", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = genbench(tmp_path, "models")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_a_crash_of_the_interpreter_names_the_plugins_file(tmp_path):
    install(tmp_path, "crash", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    done = genbench(tmp_path, "models")
    assert done.returncode == -signal.SIGSEGV
    assert "bench_crash.py" in done.stderr


def test_a_plugin_that_is_slow_or_heavy_or_empty_is_named(tmp_path):
    heavy = "import time, numpy\ntime.sleep(0.5)" + GOOD.format(name="m", target="a:b", more="")
    install(tmp_path, "heavy", heavy)
    install(tmp_path, "empty", "")
    found = json.loads(genbench(tmp_path, "plugins", "--json").stdout)["plugins"]
    found = {plugin["name"]: plugin for plugin in found}
    assert found["heavy"]["import_s"] > 0.5
    assert "loads numpy" in found["heavy"]["remarks"][0]
    assert found["empty"]["status"] == "empty"
    for command in (["plugins"], ["doctor"]):
        told = genbench(tmp_path, *command).stdout
        assert "and loads numpy, in every command" in told
        assert "it registers nothing" in told
    assert not any(plugin["remarks"] for plugin in found.values() if plugin["builtin"])
    doctor = genbench(tmp_path, "plugins", "doctor")
    assert doctor.stderr.count("loads numpy") == 1


@pytest.mark.parametrize("name", BROKEN)
def test_strict_plugins_makes_a_broken_plugin_an_error(tmp_path, name):
    install(tmp_path, name, BROKEN[name][0])
    done = genbench(tmp_path, "models", "--strict-plugins")
    assert done.returncode == 4
    assert BROKEN[name][1] in done.stderr
    assert done.stdout == ""


def test_broken_and_disabled_plugins_are_listed_as_such(tmp_path):
    install(tmp_path, "raises", BROKEN["raises"][0])
    install(tmp_path, "fine", GOOD.format(name="fine", target="a:b", more=""))
    found = json.loads(genbench(tmp_path, "plugins", "list", "--json").stdout)["plugins"]
    status = {plugin["name"]: plugin["status"] for plugin in found}
    assert (status["raises"], status["fine"], status["vae"]) == ("broken", "ok", "ok")
    fine = next(plugin for plugin in found if plugin["name"] == "fine")
    assert fine["registers"] == ["model fine"]
    assert genbench(tmp_path, "plugins").stdout.count("no such luck") == 1


@pytest.mark.parametrize(
    "environ", [{"GENBENCH_DISABLE_PLUGINS": "raises"}, {"GENBENCH_PLUGINS": "fine"}]
)
def test_a_plugin_that_is_left_out_is_not_even_imported(tmp_path, environ):
    install(tmp_path, "raises", BROKEN["raises"][0])
    install(tmp_path, "fine", GOOD.format(name="fine", target="a:b", more=""))
    done = genbench(tmp_path, "plugins", "--json", environ=environ)
    assert done.stderr == ""
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
    assert found["raises"]["status"] == "disabled"
    assert found["raises"]["disabled_by"] in environ
    assert found["fine"]["status"] == "ok"


def test_plugins_doctor_says_what_is_wrong_and_whose_it_is(tmp_path):
    install(tmp_path, "sick", GOOD.format(name="sick", target="bench_sick:Model", more=""))
    done = genbench(tmp_path, "plugins", "doctor")
    assert done.returncode == 4
    assert "can't be loaded from 'bench_sick:Model'" in done.stdout
    assert "bench-sick 1.2" in done.stderr


def test_plugins_doctor_finds_the_built_in_plugins_sound(tmp_path):
    done = genbench(tmp_path, "plugins", "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "schema_version": 1,
        "ok": True,
        "problems": [],
        "remarks": {},
    }


# --- plugins new ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "dataset", "sampler", "metric", "listener"])
def test_a_new_package_passes_its_own_tests(tmp_path, kind):
    done = genbench(tmp_path, "plugins", "new", "my-thing", "--kind", kind)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "genbench-my-thing"
    assert (folder / "pyproject.toml").is_file()
    assert str(folder.name) in done.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environ, check=True)
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
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(tmp_path, name, words):
    done = genbench(tmp_path, "plugins", "new", name)
    assert done.returncode == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_never_written_into(tmp_path):
    (tmp_path / "genbench-mine").mkdir()
    done = genbench(tmp_path, "plugins", "new", "mine")
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert list((tmp_path / "genbench-mine").iterdir()) == []


def test_the_guides_commands_run_in_their_order(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    blocks = re.findall(r"```(?:console|shell)\n(.*?)```", guide, re.DOTALL)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--target", str(site)]
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": bin_first, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    for line in "".join(blocks).splitlines():
        install, _, folder = line.partition("pip install -e ")
        command = shlex.join([*pip, folder]) if folder and not install else line
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "broken" not in done.stderr


# --- doctor -----------------------------------------------------------------------------------


def test_doctor_reports_the_machine_and_passes_where_nothing_is_broken(tmp_path):
    environ = {"GENBENCH_CACHE": str(tmp_path / "cache")}
    done = genbench(tmp_path, "doctor", "--json", environ=environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
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


def test_doctor_fails_with_the_exit_code_of_what_is_broken(tmp_path):
    install(tmp_path, "raises", BROKEN["raises"][0])
    done = genbench(tmp_path, "doctor")
    assert done.returncode == 4
    assert "no such luck" in done.stdout


def test_a_store_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "runs.db").write_text("no database")
    access = DataAccess(root=tmp_path / "data", cache=tmp_path / "cache")
    findings = examine(Registry(), access, str(tmp_path / "runs.db"))
    faults = [finding for finding in findings if finding.error]
    assert [(fault.name, fault.mark, fault.error.exit_code) for fault in faults] == [
        ("store", "broken", 5)
    ]
