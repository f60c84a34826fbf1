"""The Inception-v3 features of the Fréchet inception distance, as torch-fidelity computes them.

The network and its TF 1.x resize are torch-fidelity's own class; we give it weights that were
read without unpickling code, and feed it minibatch by minibatch.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)

from genbench import DataError

NAME = "inception-v3-compat"
LAYER = "2048"
DIGEST = "6726825d"
"""The first digits of the published file's SHA-256, as its name says."""
PORTION = 50
"""Images that go through the network at once: at 299 x 299 a batch of 500 would take 3 GB."""
MEND = (
    "run once with a network and without GENBENCH_OFFLINE, and it is downloaded, or give a copy "
    "by --set metric.fid.weights=PATH"
)


class InceptionFeatures:
    """The 2048 pooled features of uint8 images; grey images are repeated to RGB."""

    name = NAME
    dim = 2048

    def __init__(self, weights: Path, *, device: torch.device) -> None:
        content = _read(weights)
        self._device = device
        self._network = _network(content, weights).to(device)
        self.protocol: Mapping[str, Any] = {
            "extractor": NAME,
            "layer": LAYER,
            "weights": hashlib.sha256(content).hexdigest(),
            "resize": "299x299, bilinear as in TensorFlow 1",
            "torch-fidelity": version("torch-fidelity"),
        }

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, 2048)."""
        samples = samples.to(self._device)
        if samples.shape[1] == 1:
            samples = samples.expand(-1, 3, -1, -1)
        with torch.no_grad():
            return torch.cat([self._network(part)[0] for part in torch.split(samples, PORTION)])


def weights_file(given: str | None, *, offline: bool) -> Path:
    """The weights: the file given, else torch hub's copy, else a download into its cache.

    Raises DataError, with the ways to mend it, where there are none or where torch hub's copy is
    not the published file.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise DataError(f"fid: there are no Inception weights at {path}; {MEND}")
        return path
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name
    if not path.is_file():
        if offline:
            raise DataError(f"fid: there are no Inception weights at {path}; {MEND}")
        _download(path)
    if not hashlib.sha256(_read(path)).hexdigest().startswith(DIGEST):
        raise DataError(f"fid: {path} is not the published Inception file; remove it and {MEND}")
    return path


def _download(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            URL_INCEPTION_V3, str(path), hash_prefix=DIGEST, progress=False
        )
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"fid: the Inception weights could not be downloaded to {path} ({reason}); {MEND}"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"fid: {path} can't be read ({error.strerror}); {MEND}") from error


def _network(content: bytes, path: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network with these weights.

    Its constructor unpickles what it is given. So the bytes are read as tensors only, and it gets
    a fresh file in memory that we wrote from them.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        fresh = io.BytesIO()
        torch.save(state, fresh)
        fresh.seek(0)
        with torch.random.fork_rng(devices=[]):  # its constructor draws weights first
            return FeatureExtractorInceptionV3(NAME, [LAYER], feature_extractor_weights_path=fresh)
    except Exception as error:  # torch.load and load_state_dict raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"fid: {path} does not hold torch-fidelity's Inception weights ({reason}); {MEND}"
        ) from error
