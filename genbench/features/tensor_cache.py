"""A cache of tensors that are expensive to compute; many processes may share its folder.

A file is written under a temporary name and then linked to its final name. So a reader never sees
an incomplete file, and the first of two writers wins, so that all score with the same weights. A
file that is truncated, changed or has another key is removed and computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

Tensors = dict[str, Tensor]


def cached_tensors(
    folder: Path, kind: str, key: Mapping[str, Any], build: Callable[[], Mapping[str, Tensor]]
) -> Tensors:
    """The named tensors of ``key``: from ``folder`` if they are there and valid, else built.

    If the folder can't be written to, the built tensors are returned without being cached.
    """
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    path = folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
    found = _read(path, text)
    if found is None:
        built = {name: tensor.detach().cpu().contiguous() for name, tensor in build().items()}
        with contextlib.suppress(OSError, SafetensorError):
            _write(path, built, text)
        # Another process may have been first; then its tensors are used.
        found = _read(path, text) or built
    return found


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) over the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path, key: str) -> Tensors | None:
    """The tensors of a valid file with this key, else None; an invalid one is removed."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError):
        tensors, metadata = {}, {}
    if metadata.get("key") == key and metadata.get("sha256") == digest_of(tensors):
        return tensors
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _write(path: Path, tensors: Tensors, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={"key": key, "sha256": digest_of(tensors)})
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
