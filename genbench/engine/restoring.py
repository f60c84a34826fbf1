"""Read checkpoints: verify size, digest and run, also while the run writes new ones.

A run in training removes its older checkpoint as soon as the newer one is complete. So a reader
opens all files that it needs before it reads the first (an open file outlives its name), and starts
again with the newer checkpoint if one of them was already removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from genbench.contracts import Model, Reshapes
from genbench.engine.checkpoint import (
    AGAIN,
    EMA,
    MANIFEST,
    STATE,
    WEIGHTS,
    RunIdentity,
    Snapshot,
    damaged,
    latest_checkpoint,
    read_manifest,
)
from genbench.errors import CheckpointError


def checkpoint_position(folder: Path, identity: RunIdentity | None = None) -> Mapping[str, int]:
    """The position of the last checkpoint: ``step``, ``epoch`` and more, from its manifest.

    Raises CheckpointError if it is missing, has no readable manifest or belongs to another run.
    """
    with _opened(folder, (), identity) as found:
        return found.position


def read_checkpoint(folder: Path, identity: RunIdentity | None = None) -> Snapshot:
    """The last checkpoint of a run, on the CPU, verified by size and digest.

    Raises CheckpointError, which names the file, if it is missing, truncated, changed or belongs to
    another run, or if the training state was dropped since the run is finished.
    """
    with _opened(folder, (WEIGHTS, EMA, STATE), identity) as found:
        if STATE not in found.files:
            raise CheckpointError(
                f"{found.path} holds weights only: the run is finished", hint=AGAIN
            )
        return Snapshot(
            position=found.position,
            weights=_tensors(found, WEIGHTS),
            ema=_tensors(found, EMA) if EMA in found.files else {},
            state=_state(found),
            identity=identity,
            path=found.path,
        )


def load_weights(
    model: Model, folder: Path, device: torch.device, identity: RunIdentity | None = None
) -> Mapping[str, int]:
    """Load the stored weights of a run into a newly built model: the EMA if the run has one.

    The model is moved to ``device``. Returns the position of the checkpoint (``step``, ``epoch``),
    which may be before the last stored epoch while a run trains. Raises CheckpointError if the
    checkpoint is missing, truncated, changed, belongs to another run or doesn't fit the model.
    """
    with _opened(folder, (WEIGHTS, EMA), identity) as found:
        weights = _tensors(found, WEIGHTS)
        if EMA in found.files:
            weights.update(_tensors(found, EMA))
    restore_weights(model, weights, found.path)
    model.nets.to(device)
    return found.position


def restore_weights(model: Model, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict strictly. Raises CheckpointError if names or shapes differ."""
    try:
        if isinstance(model, Reshapes):
            model.reshape(weights)
        model.nets.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the weights in {path} don't fit the model; they were written with other settings or "
            f"another version of its plugin ({reason})",
            hint=AGAIN,
        ) from error


# --- one open checkpoint


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A checkpoint with the wanted files open."""

    path: Path
    manifest: Mapping[str, Any]
    files: Mapping[str, BinaryIO]

    @property
    def position(self) -> Mapping[str, int]:
        position: Mapping[str, int] = self.manifest["position"]
        return position


@contextlib.contextmanager
def _opened(
    folder: Path, wanted: Collection[str], identity: RunIdentity | None
) -> Iterator[_Opened]:
    """Open the last checkpoint; if it is removed meanwhile, open the next one."""
    while True:
        path = latest_checkpoint(folder)
        if path is None:
            raise CheckpointError(f"no checkpoint in {folder / 'checkpoints'}", hint=AGAIN)
        with contextlib.ExitStack() as stack:
            try:
                found = _open(path, wanted, stack)
            except OSError as error:
                if latest_checkpoint(folder) == path:
                    raise _unreadable(Path(error.filename or path), error) from error
                continue
            if "position" not in found.manifest:
                raise damaged(path / MANIFEST)
            if identity is not None:
                _check_identity(found, identity)
            yield found
            return


def _open(path: Path, wanted: Collection[str], stack: contextlib.ExitStack) -> _Opened:
    manifest = read_manifest(path)
    names = [name for name in manifest["files"] if name in wanted]
    files = {name: stack.enter_context((path / name).open("rb")) for name in names}
    return _Opened(path=path, manifest=manifest, files=files)


def _check_identity(found: _Opened, identity: RunIdentity) -> None:
    """Raise CheckpointError for another run; old manifests without a run are accepted."""
    run, digest = found.manifest.get("run"), found.manifest.get("digest")
    if run not in (None, identity.run):
        raise CheckpointError(
            f"{found.path} is a checkpoint of run {run}, not of run {identity.run}; put the "
            f"checkpoints of {identity.run} back there",
            hint=AGAIN,
        )
    if digest not in (None, identity.digest):
        raise CheckpointError(
            f"{found.path} was written for other settings than those of run {identity.run} (digest "
            f"{digest}, expected {identity.digest}); put its own checkpoints back there",
            hint=AGAIN,
        )


def _unreadable(file: Path, error: OSError) -> CheckpointError:
    if file.name == MANIFEST:
        return damaged(file)
    return CheckpointError(f"{file} can't be read: {error.strerror}", hint=AGAIN)


# --- its files


def _verified(found: _Opened, name: str) -> bytes:
    file = found.path / name
    try:
        data = found.files[name].read()
    except OSError as error:
        raise _unreadable(file, error) from error
    expected = found.manifest["files"][name]
    if len(data) != expected["bytes"]:
        raise CheckpointError(
            f"{file} is truncated: it has {len(data)} of {expected['bytes']} bytes",
            hint=AGAIN,
        )
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(
            f"{file} was changed: its SHA-256 is not the recorded one", hint=AGAIN
        )
    return data


def _tensors(found: _Opened, name: str) -> dict[str, Tensor]:
    data = _verified(found, name)
    try:
        return load_tensors(data)
    except SafetensorError as error:
        raise CheckpointError(
            f"{found.path / name} is not a safetensors file: {error}",
            hint=AGAIN,
        ) from error


def _state(found: _Opened) -> dict[str, Any]:
    data = _verified(found, STATE)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{found.path / STATE} can't be read: {error}", hint=AGAIN) from error
    return state
