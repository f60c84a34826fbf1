"""`doctor` asks torch for its devices in a second process, which may crash or hang."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from genbench.contracts import DataAccess
from genbench.doctor import devices
from genbench.doctor.machine import examine
from genbench.registry import Registry

ANSWERS = """
from types import SimpleNamespace as N
get_num_threads = lambda: 3
cuda = N(device_count=lambda: 1, get_device_properties=lambda i: N(name="H200", total_memory=9))
version, hub = N(cuda="13"), N(get_dir=lambda: "hub")
backends = N(mps=N(is_available=lambda: False))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a torch with this code, and others, in front of the real one."""

    def install(**files):
        (tmp_path / "torch").mkdir()
        for name, code in files.items():
            (tmp_path / "torch" / f"{name}.py").write_text(code)

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return install


@pytest.mark.parametrize(
    ("code", "words", "tries"),
    [
        ("raise ImportError('libcudart.so.13 is absent')", "libcudart.so.13 is absent", 2),
        ("import os; os._exit(7)", "exit code 7", 2),
        ("import os; os.abort()", "exit code -6", 1),
        ("import time; time.sleep(60)", "takes more than 1 s", 1),
    ],
    ids=["raises", "exits", "crashes", "hangs"],
)
def test_a_torch_that_cant_be_imported_is_a_fault_beside_the_other_findings(
    installed, monkeypatch, tmp_path, code, words, tries
):
    started, start = [], devices._start
    monkeypatch.setattr(devices, "_start", lambda how: started.append(how) or start(how))
    monkeypatch.setattr(devices, "LIMIT_S", 1.0 if "sleep" in code else 60.0)
    installed(__init__=code)
    access = DataAccess(root=tmp_path / "data", cache=tmp_path / "cache")
    findings = examine(Registry(), access, str(tmp_path / "runs.db"))
    [fault] = [finding for finding in findings if finding.error]
    assert (fault.group, fault.name, fault.mark) == ("devices", "torch", "broken")
    assert words in fault.text
    assert started == ["quickly", "whole"][:tries]
    assert {"versions", "store", "data"} <= {finding.group for finding in findings}


def test_devices_are_those_that_torch_sees_and_noise_at_its_import_is_ignored(installed):
    installed(__init__=f"print('hello')\n{ANSWERS}")
    answer = devices.DeviceQuery().answer()
    assert (answer.threads, answer.gpus, answer.hub) == (3, [("H200", 9)], "hub")
    assert answer.built_with_cuda
    assert not answer.mps


def test_a_torch_that_needs_its_shape_functions_is_imported_whole(installed):
    needs = f"from torch._meta_registrations import rules\n{ANSWERS}"
    installed(__init__=needs, _meta_registrations="rules = 1")
    assert devices.DeviceQuery().answer().threads == 3


def test_the_second_process_sees_what_this_one_would_see_and_imports_no_compiler():
    show = [sys.executable, "-X", "importtime", "-m", devices.__name__, "quickly"]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    here = devices.look()
    assert json.loads(done.stdout) | {"threads": here.threads} == json.loads(json.dumps(vars(here)))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert not {"torch._meta_registrations", "torch._dynamo", "torchvision"} & imported
