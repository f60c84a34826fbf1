"""Checkpoints: a folder each, whole or not there at all. `genbench.engine.restoring` reads them.

    checkpoints/step-000000600-epoch-0001/
        weights.safetensors   the nets' parameters and buffers
        ema.safetensors       their averages, where a run has them
        state.pt              optimizers, generators, position, open sums (plain values, tensors)
        manifest.json         format, run and digest, position, size and SHA-256 of each file

Law: kill -9 or a full disk at any moment leaves the last checkpoint as it was. Everything is
written under a temporary name, flushed to the disk, and renamed; then the older one goes.
Nothing is unpickled but what ``torch.load(weights_only=True)`` allows.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from genbench.errors import CheckpointError, DiskFullError

FORMAT = 1
WEIGHTS, EMA, STATE, MANIFEST = (
    "weights.safetensors",
    "ema.safetensors",
    "state.pt",
    "manifest.json",
)
TEMPORARY = ".writing-"
AGAIN = "To start it again: genbench rerun RUN"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Whose a checkpoint is: the id of a run and the digest of its spec, as they are stored.

    The digest is the stored one, never one that is computed again: a resume on another device
    keeps it, and so does a later genbench.
    """

    run: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a checkpoint holds. ``position`` has at least ``step`` and ``epoch``.

    ``state`` is a plain dict (numbers, strings, tensors), empty once training state was dropped;
    ``path`` is where it was read from.
    """

    position: Mapping[str, int]
    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    identity: RunIdentity | None = None
    path: Path | None = None


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot under ``folder``/checkpoints and remove the older ones.

    Raises DiskFullError where no space is left (the last checkpoint stays), CheckpointError where
    the folder can't be written for another reason.
    """
    home = folder / "checkpoints"
    step, epoch = snapshot.position["step"], snapshot.position["epoch"]
    final = home / f"step-{step:09d}-epoch-{epoch:04d}"
    while final.exists():  # the same position, before an interruption: the new one sorts last
        final = final.with_name(f"{final.name}+")
    temporary = home / f"{TEMPORARY}{final.name}"
    with _writing(home, temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {name: _write(temporary / name, data) for name, data in _encoded(snapshot)}
        _write_manifest(temporary, _manifest(snapshot, files))
        _sync_folder(temporary)
        temporary.rename(final)
        _sync_folder(home)
    for other in home.iterdir():
        if other != final and other.name.startswith(("step-", TEMPORARY)):
            shutil.rmtree(other, ignore_errors=True)
    return final


def has_checkpoint(folder: Path) -> bool:
    """Whether a run's folder holds a checkpoint (whole or not: reading it tells)."""
    return latest_checkpoint(folder) is not None


def latest_checkpoint(folder: Path) -> Path | None:
    """The folder of the last checkpoint; None where there is none."""
    home = folder / "checkpoints"
    # A listing that is taken while one name comes and the other goes may show neither.
    for _ in range(3):
        found = max(home.glob("step-*"), default=None)
        if found is not None or not home.is_dir():
            return found
    return None


def drop_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a run; a kill on the way leaves all or, as far as is read, none."""
    home = folder / "checkpoints"
    with _writing(home, home / f"{MANIFEST}.new"):
        if home.is_dir():
            dropped = home.with_name(f"{TEMPORARY}{home.name}")
            shutil.rmtree(dropped, ignore_errors=True)
            home.rename(dropped)
            shutil.rmtree(dropped)


def drop_training_state(folder: Path) -> None:
    """Keep of a finished run's checkpoint the weights only. Nothing happens where there is none."""
    path = latest_checkpoint(folder)
    if path is None:
        return
    try:
        manifest = read_manifest(path)
    except FileNotFoundError as error:
        raise damaged(path / MANIFEST) from error
    kept = {name: entry for name, entry in manifest["files"].items() if name != STATE}
    with _writing(path, path / f"{MANIFEST}.new"):
        _write_manifest(path, {**manifest, "files": kept})
        (path / STATE).unlink(missing_ok=True)
        _sync_folder(path)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint in ``path``. Raises CheckpointError, FileNotFoundError."""
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        known = manifest["format"] <= FORMAT and WEIGHTS in manifest["files"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(file) from error
    if not known:
        raise CheckpointError(f"{file} was written by a newer genbench; update genbench")
    return manifest


def damaged(file: Path) -> CheckpointError:
    """The error for a manifest that can't be used."""
    return CheckpointError(f"{file} is missing or damaged", hint=AGAIN)


# --- writing


def _manifest(snapshot: Snapshot, files: Mapping[str, Any]) -> dict[str, Any]:
    identity = snapshot.identity
    whose = {"run": identity.run, "digest": identity.digest} if identity else {}
    return {"format": FORMAT, **whose, "position": dict(snapshot.position), "files": files}


def _encoded(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    yield WEIGHTS, save_tensors(_contiguous(snapshot.weights))
    if snapshot.ema:
        yield EMA, save_tensors(_contiguous(snapshot.ema))
    buffer = io.BytesIO()
    torch.save(dict(snapshot.state), buffer)
    yield STATE, buffer.getvalue()


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Clones: safetensors refuses tensors that share memory, as tied weights do."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _write(path: Path, data: bytes) -> dict[str, Any]:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    new = path / f"{MANIFEST}.new"
    _write(new, json.dumps(manifest, indent=1).encode())
    new.replace(path / MANIFEST)


def _sync_folder(path: Path) -> None:
    """Make names durable; Windows can't open a folder, and needs it not."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(home: Path, temporary: Path) -> Iterator[None]:
    """On an error, remove what was begun and say what it means."""
    try:
        yield
    except OSError as error:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                temporary.unlink()
        if error.errno in _NO_SPACE:
            kept = "; the last one is kept" if any(home.glob("step-*")) else ""
            raise DiskFullError(
                f"no space left to write a checkpoint in {home}{kept}. Free some space",
                hint="To go on: genbench resume RUN",
            ) from error
        raise CheckpointError(f"can't write a checkpoint in {home}: {error.strerror}") from error
