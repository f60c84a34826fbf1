"""Write files completely or not at all; all outputs are written with these functions."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file that replaces ``path`` at the end of the block, unless there is an error.

    Its folder is created. If ``path`` is a symlink, its target is replaced. Permissions are kept.
    Raises OSError with ``path`` in it, also if ``path`` is not a regular file.
    """
    part: Path | None = None
    try:
        target = regular(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _new_beside(target)
        yield part
        part.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text with `replacing`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def regular(path: Path) -> Path:
    """The path without symlinks, of a regular file or of none yet. Raises OSError."""
    target = Path(os.path.realpath(path))
    if not target.exists():
        return target
    if not stat.S_ISREG(target.stat().st_mode):
        raise OSError(0, "it exists and is not a regular file", str(path))
    if not os.access(target, os.W_OK):
        raise PermissionError(13, "it is read-only", str(path))
    return target


def _new_beside(target: Path) -> Path:
    """An empty file next to ``target``, with the permissions that ``target`` has or would get."""
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if target.exists():
        part.chmod(stat.S_IMODE(target.stat().st_mode))
    return part
