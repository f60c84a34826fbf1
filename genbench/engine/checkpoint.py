"""Checkpoints: a folder each, whole or not there at all.

    checkpoints/step-000000600-epoch-0001/
        weights.safetensors   the nets' parameters and buffers
        ema.safetensors       their averages, where a run has them
        state.pt              optimizers, generators, position, open sums (plain values, tensors)
        manifest.json         format, position, size and SHA-256 of each file

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
import pickle
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors, save as save_tensors
from torch import Tensor

from genbench.contracts import Model
from genbench.errors import CheckpointError, DiskFullError

FORMAT = 1
WEIGHTS, EMA, STATE, MANIFEST = (
    "weights.safetensors",
    "ema.safetensors",
    "state.pt",
    "manifest.json",
)
_TEMPORARY = ".writing-"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ANEW = "Start it anew with: genbench rerun"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a checkpoint holds. ``position`` has at least ``step`` and ``epoch``.

    ``state`` is a plain dict (numbers, strings, tensors), empty once training state was dropped.
    """

    position: Mapping[str, int]
    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


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
    temporary = home / f"{_TEMPORARY}{final.name}"
    with _writing(home, temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {name: _write(temporary / name, data) for name, data in _encoded(snapshot)}
        _write_manifest(temporary, snapshot.position, files)
        _sync_folder(temporary)
        temporary.rename(final)
        _sync_folder(home)
    for other in home.iterdir():
        if other != final and other.name.startswith(("step-", _TEMPORARY)):
            shutil.rmtree(other, ignore_errors=True)
    return final


def has_checkpoint(folder: Path) -> bool:
    """Whether a run's folder holds a checkpoint (whole or not: reading it tells)."""
    return _latest(folder) is not None


def read_checkpoint(folder: Path) -> Snapshot:
    """The last checkpoint of a run, on the CPU, verified by size and digest.

    Raises CheckpointError, naming the file, where it is missing, cut short or was changed, or
    where the training state of a finished run was dropped.
    """
    path, manifest = _manifest(folder)
    if STATE not in manifest["files"]:
        raise CheckpointError(f"{path} holds weights only: the run is finished. {_ANEW}")
    return Snapshot(
        position=manifest["position"],
        weights=_tensors(path, manifest, WEIGHTS),
        ema=_tensors(path, manifest, EMA) if EMA in manifest["files"] else {},
        state=_state(path, manifest),
    )


def load_weights(model: Model, folder: Path, device: torch.device) -> None:
    """Put the stored weights of a run into a freshly built model: averages where it has them.

    The model is moved to ``device``. Raises CheckpointError where the checkpoint is missing, cut
    short, changed or of another shape than the model.
    """
    path, manifest = _manifest(folder)
    weights = _tensors(path, manifest, WEIGHTS)
    if EMA in manifest["files"]:
        weights.update(_tensors(path, manifest, EMA))
    restore_weights(model, weights, path)
    model.nets.to(device)


def restore_weights(model: Model, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict strictly. Raises CheckpointError where names or shapes differ."""
    try:
        model.nets.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the weights in {path} don't fit the model; its settings or its plugin's version "
            f"are not those that wrote them ({reason}). {_ANEW}"
        ) from error


def drop_training_state(folder: Path) -> None:
    """Keep of a finished run's checkpoint the weights only. Nothing happens where there is none."""
    path = _latest(folder)
    if path is None:
        return
    path, manifest = _manifest(folder)
    kept = {name: entry for name, entry in manifest["files"].items() if name != STATE}
    with _writing(path, path / f"{MANIFEST}.new"):
        _write_manifest(path, manifest["position"], kept)
        (path / STATE).unlink(missing_ok=True)
        _sync_folder(path)


def last_checkpoint(folder: Path) -> Path:
    """The folder of the last checkpoint. Raises CheckpointError where there is none."""
    path = _latest(folder)
    if path is None:
        raise CheckpointError(f"no checkpoint in {folder / 'checkpoints'}. {_ANEW}")
    return path


def _latest(folder: Path) -> Path | None:
    return max((folder / "checkpoints").glob("step-*"), default=None)


# --- writing


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


def _write_manifest(
    path: Path, position: Mapping[str, int], files: Mapping[str, Mapping[str, Any]]
) -> None:
    manifest = {"format": FORMAT, "position": dict(position), "files": files}
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
            raise DiskFullError(
                f"no space left to write a checkpoint in {home}; the last one is kept. "
                f"Free some space, then: genbench resume"
            ) from error
        raise CheckpointError(f"can't write a checkpoint in {home}: {error.strerror}") from error


# --- reading


def _manifest(folder: Path) -> tuple[Path, dict[str, Any]]:
    path = last_checkpoint(folder)
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        known = manifest["format"] <= FORMAT and WEIGHTS in manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is missing or damaged. {_ANEW}") from error
    if not known:
        raise CheckpointError(f"{file} was written by a newer genbench; update genbench")
    return path, manifest


def _verified(path: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    file = path / name
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file} can't be read: {error.strerror}. {_ANEW}") from error
    expected = manifest["files"][name]
    if len(data) != expected["bytes"]:
        raise CheckpointError(
            f"{file} is cut short: {len(data)} bytes, {expected['bytes']} were written. {_ANEW}"
        )
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{file} was changed: its SHA-256 is not the recorded one. {_ANEW}")
    return data


def _tensors(path: Path, manifest: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    data = _verified(path, manifest, name)
    try:
        return load_tensors(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path / name} is no safetensors file: {error}. {_ANEW}") from error


def _state(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    data = _verified(path, manifest, STATE)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path / STATE} can't be read: {error}. {_ANEW}") from error
    return state
