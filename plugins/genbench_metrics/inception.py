"""Features and class logits of Inception-v3 of 2015, computed by torch-fidelity.

The network and its TF 1.x resize are torch-fidelity's class; it gets weights that were read without
unpickling code, and one minibatch at a time. Its batch normalisations are folded into the
convolutions, which changes features by rounding only.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    BasicConv2d,
    FeatureExtractorInceptionV3,
)

from genbench import DataError, forked_rng, shared_network

NAME = "inception-v3-compat"
LAYER = "2048"
LOGITS = "logits_unbiased"
DIGEST = "6726825d"
"""The first digits of the published file's SHA-256, which are part of its name."""
CHUNK = 50
"""Images per forward pass: at 299 x 299, a batch of 500 would need 3 GB."""
_DIMS = {LAYER: 2048, LOGITS: 1008}


class InceptionFeatures:
    """A layer of Inception-v3 for uint8 images; grey images are repeated to RGB.

    ``layer`` is `LAYER`, the 2048 pooled features, or `LOGITS`, the 1008 class logits without bias.
    ``metric`` is the name of the metric in messages.
    """

    name = NAME

    def __init__(
        self, weights: Path, *, device: torch.device, layer: str = LAYER, metric: str = "fid"
    ) -> None:
        content = _read(weights, metric)
        digest = hashlib.sha256(content).hexdigest()
        self.dim, self._index = _DIMS[layer], tuple(_DIMS).index(layer)
        self._network = shared_network(
            f"{NAME} {digest} {device}", lambda: _both_layers(content, weights, device, metric)
        )
        self.protocol: Mapping[str, Any] = {
            "extractor": NAME,
            "layer": layer,
            "weights": digest,
            "resize": "299x299, bilinear as in TensorFlow 1",
            "torch-fidelity": version("torch-fidelity"),
        }

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, 2048), or the logits (b, 1008)."""
        return self._network.outputs(samples)[self._index]


def weights_file(given: str | None, *, offline: bool, metric: str = "fid") -> Path:
    """The weights: the given file, else the copy in torch hub's cache, else a download into it.

    Raises DataError, with a hint, if there are none or if that copy is not the published file.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise DataError(f"{metric}: there are no Inception weights at {path}; {_hint(metric)}")
        return path
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name
    if not path.is_file():
        if offline:
            raise DataError(f"{metric}: there are no Inception weights at {path}; {_hint(metric)}")
        _download(path, metric)
    if not hashlib.sha256(_read(path, metric)).hexdigest().startswith(DIGEST):
        raise DataError(
            f"{metric}: {path} is not the published Inception file; remove it and {_hint(metric)}"
        )
    return path


def _download(path: Path, metric: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            URL_INCEPTION_V3, str(path), hash_prefix=DIGEST, progress=False
        )
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{metric}: the Inception weights could not be downloaded to {path} ({reason}); "
            f"{_hint(metric)}"
        ) from error


def _hint(metric: str) -> str:
    return (
        "run once with network access and without GENBENCH_OFFLINE to download it, or set "
        f"--set metric.{metric}.weights=PATH"
    )


def _read(path: Path, metric: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{metric}: {path} can't be read ({error.strerror}); {_hint(metric)}"
        ) from error


def _both_layers(
    content: bytes, path: Path, device: torch.device, metric: str
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """uint8 images (b, 1 or 3, H, W) -> pooled features (b, 2048) and logits (b, 1008)."""
    network = folded(_network(content, path, metric)).to(device)

    def run(samples: Tensor) -> tuple[Tensor, ...]:
        samples = samples.to(device)
        if samples.shape[1] == 1:
            samples = samples.expand(-1, 3, -1, -1)
        with torch.no_grad():
            parts = [network(part) for part in torch.split(samples, CHUNK)]
        return tuple(torch.cat(layer) for layer in zip(*parts, strict=True))

    return run


def _network(content: bytes, path: Path, metric: str = "fid") -> FeatureExtractorInceptionV3:
    """torch-fidelity's network with these weights, which returns the layers of `_DIMS`.

    Its constructor unpickles the file. So the content is read as tensors only, and the constructor
    gets a file in memory that was written from these tensors.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        fresh = io.BytesIO()
        torch.save(state, fresh)
        fresh.seek(0)
        with forked_rng(torch.device("cpu")):  # its constructor draws weights first
            return FeatureExtractorInceptionV3(
                NAME, list(_DIMS), feature_extractor_weights_path=fresh
            )
    except Exception as error:  # torch.load and load_state_dict raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{metric}: {path} does not have torch-fidelity's Inception weights ({reason}); "
            f"{_hint(metric)}"
        ) from error


def folded(network: nn.Module) -> nn.Module:
    """The same network, changed in place, with `FoldedConv` for each of its convolutions."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BasicConv2d):
                setattr(parent, name, FoldedConv(child))
    return network


class FoldedConv(nn.Module):
    """A convolution, its batch normalisation in eval mode and ReLU, in two operations.

    Channels are the last dimension in memory, so that a CPU need not reorder them for each
    convolution [130 ms per image on one core, 230 ms as three operations].
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, block: BasicConv2d) -> None:
        super().__init__()
        conv, norm = block.conv, block.bn
        weight, bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        self.stride, self.padding = conv.stride, conv.padding
        self.register_buffer("weight", _channels_last(weight.detach()))
        self.register_buffer("bias", bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, H, W) -> (b, D, H', W')."""
        x = _channels_last(x)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
