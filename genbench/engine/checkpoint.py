"""Write checkpoints: one folder each, complete or absent. `genbench.engine.restoring` reads them.

    checkpoints/step-000000600-epoch-0001/
        weights.safetensors   the nets' parameters and buffers
        ema.safetensors       their EMA, if the run has one
        state.pt              optimizers, generators, position, open sums (plain values, tensors)
        manifest.json         format, run and digest, position, size and SHA-256 of each file

Law: kill -9 or a full disk at any moment leaves the last checkpoint unchanged. Everything is
written under a temporary name, flushed to the disk, and renamed; only then is the older checkpoint
removed. Nothing is unpickled except what ``torch.load(weights_only=True)`` allows.
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
    """The run that a checkpoint belongs to: its id and the digest of its spec, as stored.

    The digest is never computed again: it stays the same after a resume on another device or with
    a later version of genbench.
    """

    run: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The content of a checkpoint. ``position`` has at least ``step`` and ``epoch``.

    ``state`` is a plain dict (numbers, strings, tensors), empty after the training state was
    dropped; ``path`` is the folder that it was read from.
    """

    position: Mapping[str, int]
    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    identity: RunIdentity | None = None
    path: Path | None = None


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot under ``folder``/checkpoints and remove the older ones.

    Raises DiskFullError if no space is left (the last checkpoint is kept), CheckpointError if the
    folder can't be written for another reason.
    """
    home = folder / "checkpoints"
    step, epoch = snapshot.position["step"], snapshot.position["epoch"]
    final = home / f"step-{step:09d}-epoch-{epoch:04d}"
    while final.exists():  # written before an interruption; the new one must sort last
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
    """Whether the folder of a run has a checkpoint; it may turn out to be damaged."""
    return latest_checkpoint(folder) is not None


def latest_checkpoint(folder: Path) -> Path | None:
    """The folder of the last checkpoint; None if there is none."""
    home = folder / "checkpoints"
    # A listing during the replacement of a checkpoint may show neither the old nor the new one.
    for _ in range(3):
        found = max(home.glob("step-*"), default=None)
        if found is not None or not home.is_dir():
            return found
    return None


def drop_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a run; if it is killed meanwhile, all are left or none is found."""
    home = folder / "checkpoints"
    with _writing(home, home / f"{MANIFEST}.new"):
        if home.is_dir():
            dropped = home.with_name(f"{TEMPORARY}{home.name}")
            shutil.rmtree(dropped, ignore_errors=True)
            home.rename(dropped)
            shutil.rmtree(dropped)


def drop_training_state(folder: Path) -> None:
    """Remove everything but the weights from the checkpoint of a finished run, if there is one."""
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
        whole = _is_whole(manifest)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file) from error
    if not known:
        raise CheckpointError(f"{file} was written by a newer genbench; update genbench")
    if not whole:
        raise damaged(file)
    return manifest


def _is_whole(manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest is as it was written; an old one, without a digest, has its form."""
    if manifest.get("sha256", (digest := _digest(manifest))) != digest:
        return False
    position = manifest["position"]
    counts = (position["epoch"], position["step"], *position.values())
    sizes = (entry["bytes"] for entry in manifest["files"].values())
    digests = (entry["sha256"] for entry in manifest["files"].values())
    return all(isinstance(number, int) for number in (*counts, *sizes)) and all(
        isinstance(text, str) for text in digests
    )


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over all of the manifest but itself."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def damaged(file: Path) -> CheckpointError:
    """The error for a manifest that can't be used."""
    return CheckpointError(f"{file} is missing or damaged", hint=AGAIN)


# --- writing


def _manifest(snapshot: Snapshot, files: Mapping[str, Any]) -> dict[str, Any]:
    identity = snapshot.identity
    owner = {"run": identity.run, "digest": identity.digest} if identity else {}
    return {"format": FORMAT, **owner, "position": dict(snapshot.position), "files": files}


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
    sealed = {**manifest, "sha256": _digest(manifest)}
    _write(new, json.dumps(sealed, indent=1).encode())
    new.replace(path / MANIFEST)


def _sync_folder(path: Path) -> None:
    """Make names durable; Windows can't open a folder, and doesn't need this."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(home: Path, temporary: Path) -> Iterator[None]:
    """On an error, remove the unfinished files and raise an error that explains it."""
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
                hint="To resume: genbench resume RUN",
            ) from error
        raise CheckpointError(f"can't write a checkpoint in {home}: {error.strerror}") from error
