"""A machine is known by its CPU's real name, whatever the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from genbench import cpu_name
from genbench.engine import cpu

X86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC   7B13\n\n" * 2
SERVER = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n"
PI = "processor\t: 0\nCPU part\t: 0xd08\n\nHardware\t: BCM2711\nModel\t: Raspberry Pi 4\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2166MHz\n"
MIXED = SERVER + "\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd05\n"


@pytest.fixture
def pretend(monkeypatch):
    """A machine of another kind: its system, its /proc/cpuinfo, and what commands say there."""

    def pretend(system, *, cpuinfo="", said=None):
        cpu.cpu_name.cache_clear()
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "processor", str)
        monkeypatch.setattr(cpu, "_cpuinfo", lambda: cpuinfo)
        monkeypatch.setattr(cpu, "_output_of", lambda *command: (said or {}).get(command[0], ""))

    yield pretend
    cpu.cpu_name.cache_clear()


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [(X86, "AMD EPYC 7B13"), (PI, "BCM2711"), (POWER, "POWER9, altivec supported")],
)
def test_linux_names_its_cpu_in_cpuinfo(pretend, cpuinfo, name):
    pretend("Linux", cpuinfo=cpuinfo)
    assert cpu_name() == name


def test_an_arm_server_is_named_by_lscpu_and_else_by_its_numbers(pretend):
    lscpu = "Architecture:  aarch64\nVendor ID:  ARM\nModel name:   Neoverse-N1\n"
    pretend("Linux", cpuinfo=SERVER, said={"lscpu": lscpu})
    assert cpu_name() == "Neoverse-N1"
    pretend("Linux", cpuinfo=SERVER, said={"lscpu": "Model name:  -\n"})
    assert cpu_name() == "aarch64 (implementer 0x41, part 0xd0c)"
    pretend("Linux", cpuinfo=MIXED)
    assert cpu_name() == "aarch64 (implementer 0x41, part 0xd0c + 0xd05)"


def test_macos_is_asked_for_its_brand(pretend):
    pretend("Darwin", said={"sysctl": "Apple M2 Pro"})
    assert cpu_name() == "Apple M2 Pro"


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows", "FreeBSD"])
def test_a_machine_that_says_nothing_is_called_by_its_architecture(pretend, system):
    pretend(system)
    assert cpu_name() == platform.machine() != ""


@pytest.mark.skipif(sys.platform != "linux", reason="lscpu is Linux's")
def test_the_name_here_is_the_one_that_lscpu_tells():
    said = subprocess.run(["lscpu"], capture_output=True, text=True, env={"LC_ALL": "C"}).stdout
    if "Model name" in said:
        assert " ".join(cpu._values(said)["Model name"].split()) == cpu_name()
