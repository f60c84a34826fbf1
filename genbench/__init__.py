"""genbench: train, sample, score and compare generative models. Names for plugins and notebooks.

``__init__.pyi`` lists the names, each with the module that defines it. Type checkers and editors
read that file, and so does this one: a name is imported when it is first used, and
``import genbench`` itself loads nothing heavy.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would cost half of this import [7 ms]
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_homes: dict[str, str] = {}


def _read_homes() -> dict[str, str]:
    """The name of each part of the interface, and its module; each is on a line of its own."""
    if not _homes:
        home = ""
        for line in __loader__.get_data(f"{__path__[0]}/__init__.pyi").decode().splitlines():
            words = line.replace(",", " ").split()
            home = words[1] if words[:1] == ["from"] else home
            if "as" in words:
                _homes[words[-1]] = home
    return _homes


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return ["__version__", *sorted(_read_homes())]
    if name.startswith("__") or name not in _read_homes():
        raise AttributeError(f"module 'genbench' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_homes[name]), name)


def __dir__() -> list[str]:
    return sorted(__getattr__("__all__"))
