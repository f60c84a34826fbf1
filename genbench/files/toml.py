"""Read TOML files that a user wrote; invalid and very large ones raise an error."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genbench.errors import SettingError, UsageError

LARGEST = 1 << 20
"""The maximum bytes of a settings file, since a device or a wrong file could fill the memory."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The values of a TOML file; ``what`` describes it in messages ("the study").

    Raises UsageError if it can't be read, isn't UTF-8 or has more than `LARGEST` bytes;
    SettingError if it isn't valid TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UsageError(f"{path} holds more than {LARGEST:,} bytes; it can't be {what}")
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "its values are nested too deeply" if isinstance(error, RecursionError) else error
        raise SettingError(f"{path} is not valid TOML: {reason}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"can't read {what} {path}: {reason}") from None


def read_settings(path: Path) -> dict[str, Any]:
    """The values of a settings file: of a pyproject.toml, those of its ``[tool.genbench]``.

    Raises what `read_toml` raises.
    """
    values: Any = read_toml(path, "the settings file")
    for name in ("tool", "genbench") if path.name == "pyproject.toml" else ():
        values = values.get(name, {})
        if not isinstance(values, dict):
            raise SettingError(f"{path}: [tool.genbench] must be a table")
    found: dict[str, Any] = values
    return found


def files_address(names: Sequence[str]) -> str | None:
    """The key ``files`` of the first of these settings files; None if it has none, or is invalid.

    What is wrong with such a file is said by the commands that take their settings from it.
    """
    path = next((path for path in map(Path, names) if path.is_file()), None)
    if path is None:
        return None
    try:
        found = read_settings(path).get("files")
    except UsageError:
        return None
    return found if isinstance(found, str) else None
