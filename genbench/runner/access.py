"""The sources of data, from options and environment variables. This file doesn't import torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from genbench.contracts import DataAccess

Progress = Callable[[str, int, int | None], None]
"""``progress(what, done, total)``, in bytes for downloads and in images for decoding."""


def data_access(
    data_dir: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    offline: bool = False,
) -> DataAccess:
    """The torchvision root, the cache folder, and whether downloads are allowed.

    The root is ``data_dir``, else GENBENCH_DATA, else ``./data``. The cache is GENBENCH_CACHE, else
    the user's cache folder. GENBENCH_OFFLINE (other than empty, 0, false or no) forbids downloads.
    """
    environ = environ or {}
    root = data_dir or environ.get("GENBENCH_DATA") or "data"
    return DataAccess(
        root=Path(root).expanduser().absolute(),
        cache=_cache_folder(environ),
        offline=offline or _truthy(environ.get("GENBENCH_OFFLINE", "")),
        progress=progress,
    )


def _cache_folder(environ: Mapping[str, str]) -> Path:
    given = environ.get("GENBENCH_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("genbench")


def _truthy(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no")
