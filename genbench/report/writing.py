"""Writing the page: a reader never sees half of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from genbench.errors import UsageError


def write_page(page: str, path: Path) -> None:
    """Write to a temporary name beside ``path``, then rename. Raises UsageError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"the report can't be written to {path}: {error.strerror or error}; give another --out"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
