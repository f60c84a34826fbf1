"""The name of the CPU, on every system that PyTorch supports.

Seconds and speeds are compared within one machine, so its name must identify it, but
`platform.processor()` is empty on Linux, "arm" on macOS and a family number on Windows.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

_NAMES = ("model name", "cpu model", "Hardware", "Model", "cpu")
"""Keys of /proc/cpuinfo that hold a name: on x86 (and RISC-V), MIPS, older ARM, POWER."""

_WINDOWS_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


@cache
def cpu_name() -> str:
    """The CPU's name, such as "AMD EPYC 7B13" or "Apple M2 Pro"; never empty.

    If there is no name, it is the identification of the CPU, "aarch64 (implementer 0x41, part
    0xd0c)", or at least the architecture.
    """
    system = platform.system()
    if system == "Linux":
        found = linux_name(_cpuinfo()) or _lscpu_name() or arm_part(_cpuinfo())
    elif system == "Darwin":
        found = _output_of("sysctl", "-n", "machdep.cpu.brand_string")
    elif system == "Windows":
        found = _windows_name()
    else:
        found = ""
    name = found or platform.processor() or platform.machine() or "unknown CPU"
    return " ".join(name.split())


def linux_name(cpuinfo: str) -> str:
    """The name in /proc/cpuinfo; empty if there is none, as on ARM servers.

    >>> linux_name("processor : 0\\nmodel name : AMD EPYC 7B13\\n")
    'AMD EPYC 7B13'
    """
    values = _values(cpuinfo)
    return next((values[key] for key in _NAMES if values.get(key)), "")


def arm_part(cpuinfo: str) -> str:
    """The identification of an ARM core; several ones if there are cores of several kinds.

    >>> arm_part("CPU implementer : 0x41\\nCPU part : 0xd0c\\n")
    'aarch64 (implementer 0x41, part 0xd0c)'
    """
    values = _values(cpuinfo)
    implementer, part = values.get("CPU implementer"), values.get("CPU part")
    if not (implementer and part):
        return ""
    return f"aarch64 (implementer {implementer}, part {part})"


def _values(cpuinfo: str) -> dict[str, str]:
    """Key -> value; if cores differ, all their values, joined by " + "."""
    found: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and value and value not in found.setdefault(key, []):
            found[key].append(value)
    return {key: " + ".join(values) for key, values in found.items()}


def _cpuinfo() -> str:
    return _read("/proc/cpuinfo")


def _lscpu_name() -> str:
    """The name by util-linux, which knows ARM cores such as "Neoverse-N1"."""
    name = _values(_output_of("lscpu")).get("Model name", "")
    return "" if set(name) <= {"-", "+", " "} else name


def _windows_name() -> str:
    if os.name != "nt":
        return ""
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _WINDOWS_KEY) as key:  # type: ignore[attr-defined, unused-ignore]
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output_of(*command: str) -> str:
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=True, env=environ
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
