"""Classes as people call them: by number, or by the name that the data set gives them."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.contracts import DataSpec
from genbench.errors import UsageError

LISTED = 20
"""Classes that a message lists at most."""


def class_of(text: str, option: str, data: DataSpec) -> int:
    """The number of a class that was typed in as the value of ``option``.

    Raises UsageError, with the classes that there are.
    """
    if data.classes is None:
        raise UsageError(f"{option} {text}: '{data.name}' has no classes; leave {option} out")
    names = [name.lower() for name in data.class_names]
    if text.strip().isdecimal() and int(text) < data.classes:
        return int(text)
    if text.strip().lower() in names:
        return names.index(text.strip().lower())
    raise UsageError(f"{option} {text}: '{data.name}' has the classes {_told(data)}")


def pair_of(text: str, data: DataSpec) -> tuple[int, int]:
    """Two different classes out of ``3,8``. Raises UsageError."""
    parts = text.split(",")
    if len(parts) != 2:
        raise UsageError(f"--classes {text}: expected two classes, such as --classes 3,8")
    first, second = (class_of(part, "--classes", data) for part in parts)
    if first == second:
        raise UsageError(f"--classes {text}: expected two different classes")
    return first, second


def class_name(label: int, data: DataSpec) -> str:
    """What the data set calls a class; its number where it has no names."""
    return data.class_names[label] if label < len(data.class_names) else str(label)


def class_names(labels: Sequence[int], data: DataSpec) -> list[str]:
    """The names of several."""
    return [class_name(label, data) for label in labels]


def _told(data: DataSpec) -> str:
    """'0 (zero), 1 (one), ...', or '0 to 9' where the names say no more than the numbers."""
    count = data.classes or 0
    numbers = [str(label) for label in range(count)]
    names = class_names(range(count), data)
    if names == numbers or count > LISTED:
        return f"0 to {count - 1}"
    return ", ".join(f"{number} ({name})" for number, name in zip(numbers, names, strict=True))
