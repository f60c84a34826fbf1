"""Sweeps: settings with several values, and the grid of runs that they make.

``--set lr=1e-4,3e-4`` has two values. Commas within brackets, braces and quotes belong to one
value, so a setting that is a list is written in brackets (``hidden=[64,64]``), and several lists
are several values (``hidden=[64,64],[128]``). A setting that takes free text keeps its commas.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from pydantic.fields import FieldInfo

from genbench.errors import SettingError
from genbench.planning.sources import Scope, setting_of, split_names, takes_only_text

OWN_COMMAS = ("samplers", "metrics", "listeners")
"""Fields of a run that are lists of names with commas."""

MOST_CELLS = 10_000
"""The maximum number of settings of one command."""


def grid(sets: Sequence[str], scope: Scope) -> list[tuple[str, ...]]:
    """All combinations of the values in ``k=v`` texts, as such texts; the last one varies fastest.

    Without a sweep it is the texts themselves. Raises SettingError for an empty or repeated value,
    a setting that varies twice, or too many combinations.
    """
    choices = [[f"{path}={value}" for value in values] for path, values in parsed(sets, scope)]
    cells = 1
    for texts in choices:
        cells *= len(texts)
    if cells > MOST_CELLS:
        raise SettingError(f"--set: {cells:,} combinations of values; at most {MOST_CELLS:,}")
    return list(product(*choices))


def parsed(sets: Sequence[str], scope: Scope) -> list[tuple[str, list[str]]]:
    """The path and the values of each ``k=v1,v2`` text."""
    found: list[tuple[str, list[str]]] = []
    for text in sets:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise SettingError(f"--set {text}: expected name=value, such as --set z_dim=20")
        found.append((path, several(value, path, setting_of(path.strip(), scope))))
    swept = [path for path, values in found if len(values) > 1]
    for path in swept:
        if [other for other, _ in found].count(path) > 1:
            raise SettingError(f"--set {path}: it is given twice; give all of its values at once")
    return found


def several(text: str, path: str, info: FieldInfo | None) -> list[str]:
    """The values in a text, one for each part between commas."""
    if path.removeprefix("run.") in OWN_COMMAS or (info and takes_only_text(info.annotation)):
        return [text]
    values = split_names(text)
    if len(values) == 1:
        return [text]
    if "" in values:
        raise SettingError(f"--set {path}={text}: a value between its commas is empty")
    for value in values:
        if values.count(value) > 1:
            raise SettingError(f"--set {path}={text}: the value {value} is given twice")
    return values


def varying(cells: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """For each cell of a grid, its texts that aren't the same in all cells."""
    moving = [len(set(texts)) > 1 for texts in zip(*cells, strict=True)]
    return [
        tuple(text for text, moves in zip(cell, moving, strict=True) if moves) for cell in cells
    ]
