"""The destination of an output, checked before any work so that it overwrites nothing of value.

An output never replaces the store or what belongs to it, a file that the command
reads, or anything that is not a regular file; its suffix names its format. Writing itself is
`genbench.files.writing`'s: whole or not at all, through symlinks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from genbench.errors import UsageError

_SIDE_FILES = ("-wal", "-shm", "-journal", ".backup")
"""Suffixes of the files that belong to a store."""


def file_for(
    given: Path | str, endings: tuple[str, ...], *, store: str, inputs: Iterable[Path] = ()
) -> Path:
    """The file to write: ``--out``, or its default. Raises UsageError, one sentence."""
    path = Path(given).expanduser()
    if path.suffix not in endings or str(given).endswith(("/", os.sep)):
        raise UsageError(f"--out {given}: expected the name of a file in {' or '.join(endings)}")
    _check_place(path, given)
    _check_free(path, given, store, inputs)
    from genbench.files.writing import regular

    try:
        regular(path)
    except OSError as error:
        raise UsageError(f"--out {given} can't be written: {error.strerror}") from None
    return path


def folder_for(given: Path | str, *, store: str) -> Path:
    """The folder to write into, which may exist already. Raises UsageError."""
    path = Path(given).expanduser()
    _check_place(path / "file", given)
    _check_free(path, given, store, ())
    return path


def _check_place(path: Path, given: Path | str) -> None:
    """Check that the file can be made: new files are allowed in the nearest existing folder."""
    try:
        os.fsencode(path)
        target = Path(os.path.realpath(path))
        name, above = target.name, target.parent
        while not os.path.lexists(above):
            name, above = above.name, above.parent
        longest = os.pathconf(above, "PC_NAME_MAX") if above.is_dir() else 255
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"--out can't be written: {reason} ({str(given)[:80]})") from None
    if not above.is_dir():
        raise UsageError(f"--out {given} can't be written: {above} is not a folder")
    if len(os.fsencode(name)) > longest:
        raise UsageError(f"--out can't be written: the name {name[:40]}... is too long")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"--out {given} can't be written: no permission to write in {above}")


def _check_free(path: Path, given: Path | str, store: str, inputs: Iterable[Path]) -> None:
    """Check that it is neither part of the store nor an input."""
    from genbench.store.address import Address

    target = Path(os.path.realpath(path))
    address = Address.parse(store)
    kept = Path(os.path.realpath(address.runs_folder))
    if target == kept or kept in target.parents:
        raise UsageError(f"--out {given} is in {kept}, which holds the runs; choose another place")
    if address.path is not None:
        file = Path(os.path.realpath(address.path))
        beside = target.parent == file.parent and target.name.startswith(
            tuple(file.name + end for end in _SIDE_FILES)
        )
        if beside or _same(target, file):
            raise UsageError(f"--out {given} is the store, or belongs to it; choose another name")
    for read in inputs:
        if _same(target, Path(os.path.realpath(read))):
            raise UsageError(f"--out {given} is a file that the command reads; choose another name")


def _same(a: Path, b: Path) -> bool:
    """Whether both are one file, by name or by a hard link."""
    return a == b or (a.exists() and b.exists() and a.samefile(b))
