"""latents:RUN: the latent space of a finished run as data, its frozen decoder as the renderer.

Any model can be trained on it: what Lin et al. 2023 (Generate Faster) do for a GAN on a VAE, and
Dai and Wipf 2019 (arXiv:1903.05789, section 4) for a second VAE on the first, as a graft of any
two. Both splits are encoded once; the codes are cached as they are and standardised when they are
loaded. The source run is only read, and nothing trains its networks.

The codes of a conditional model are decoded with a label. They carry it: one-hot values beside a
vector, planes of a grid, standardised with the rest. A model trained on them so learns which label
goes with which code, and the largest of its values is the label that is decoded with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench import Data, DataAccess, DataError, SourceRun, Split, stored_as_float
from genbench_data.latents_settings import LatentsSettings, carrying, sources
from genbench_data.split_cache import Decoding, splits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Codes = np.ndarray[Any, np.dtype[np.float32]]

CHUNK = 500
"""Samples that are encoded at a time; the draws depend on it, so it is part of the format."""

SMALLEST_STD = 1e-6
"""The minimum scale, for dimensions that are constant."""


class Latents:
    """The data set ``latents``: float32 (N, *latent_shape), and the labels of what was encoded."""

    def __init__(self, settings: LatentsSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Encode once, standardise. Raises DataError if the source run is gone."""
        settings = self.settings
        source = sources(access).load(settings.run)
        train, test = self._encoded(source, access)
        scale = fitted_scale(train.x) if settings.standardise else None
        if scale is not None:
            train, test = (_standardised(split, scale, train.digest) for split in (train, test))
        spec = settings.describe(access)
        coder = Coder(source, scale)
        return Data(
            spec=replace(spec, train=len(train.x), test=len(test.x)),
            train=train,
            test=test,
            render=coder,
            encode=coder.encode,
            source=source.data,
        )

    def _encoded(self, source: SourceRun, access: DataAccess) -> tuple[Split, Split]:
        """The codes of the model, from the cache if they are there."""
        data = source.data
        shape = carrying(source.head.latent_shape, source.head.classes)

        def encode() -> tuple[Decoding, Decoding]:
            return (
                self._encoding(source, data.train, shape, data.augment, part=0),
                self._encoding(source, data.test, shape, None, part=1),
            )

        return splits(
            access,
            encode,
            what="latents",
            doing="encoding",
            content=f"{source.digest} {data.train.digest} {data.test.digest}",
            draw=self.settings.draw,
            seed=self.settings.seed,
        )

    def _encoding(
        self,
        source: SourceRun,
        split: Split,
        shape: tuple[int, ...],
        augment: Callable[[Tensor], Tensor] | None,
        *,
        part: int,
    ) -> Decoding:
        return Decoding(
            shape=(len(split.x), *shape),
            chunks=self._codes(source, split, augment, part),
            labels=split.y,
            dtype="float32",
        )

    def _codes(
        self, source: SourceRun, split: Split, augment: Callable[[Tensor], Tensor] | None, part: int
    ) -> Iterator[Codes]:
        """Codes in the order of the split, with a separate random stream for each split."""
        import torch

        from genbench import forked_rng
        from genbench_nets.labels import with_labels

        model, classes = source.model, source.head.classes
        seed = int.from_bytes(hashlib.sha256(f"{self.settings.seed} {part}".encode()).digest()[:6])
        noise = torch.Generator().manual_seed(seed)
        for start in range(0, len(split.x), CHUNK):
            x = stored_as_float(split.x[start : start + CHUNK])
            y = _labels(split, start, classes)
            # An augmentation draws from the global generators, which must not be affected.
            with torch.no_grad(), forked_rng(torch.device("cpu")):
                # torch.manual_seed would also seed the generators of all other devices.
                torch.default_generator.manual_seed(seed + start)
                mean, logvar = model.encode(x if augment is None else augment(x), y)
                code = self._code(mean.float(), logvar.float(), noise)
            # Yield outside, so that the caller has its own generators and gradients.
            yield (code if y is None else with_labels(code, y, classes or 0)).numpy()

    def _code(self, mean: Tensor, logvar: Tensor, noise: torch.Generator) -> Tensor:
        if self.settings.draw == "mean":
            return mean
        import torch

        return mean + torch.exp(0.5 * logvar) * torch.randn(mean.shape, generator=noise)


def _labels(split: Split, start: int, classes: int | None) -> Tensor | None:
    """The labels of a chunk, if codes include labels."""
    if classes is None:
        return None
    import torch

    if split.y is None:
        raise DataError(
            "the source run decodes codes with labels, and the data it was trained on has none "
            "any more; name another run"
        )
    return torch.from_numpy(np.array(split.y[start : start + CHUNK], np.int64))


def apart(carried: Tensor, classes: int | None) -> tuple[Tensor, Tensor | None]:
    """Split data into codes and labels (the largest value, which is averaged over a grid)."""
    if classes is None:
        return carried, None
    code, hot = carried[:, :-classes], carried[:, -classes:]
    return code, hot.detach().flatten(2).mean(2).argmax(1) if hot.dim() > 2 else hot.argmax(1)


@dataclass(frozen=True, kw_only=True)
class CodeScale:
    """Mean and standard deviation by dimension, (D,), or by channel, (C, 1, 1): float32."""

    mean: Codes
    std: Codes


def fitted_scale(codes: Codes) -> CodeScale:
    """The mean and standard deviation of codes (N, *latent_shape), in float64 and in chunks."""
    axes = (0, *range(2, codes.ndim))
    count = codes.size // codes.shape[1]
    mean = sum(chunk.sum(axes, dtype=np.float64) for chunk in _chunks(codes)) / count
    wide = mean.reshape(-1, *(1 for _ in axes[1:]))
    squares = sum(np.square(chunk - wide).sum(axes) for chunk in _chunks(codes)) / count
    std = np.sqrt(squares).clip(SMALLEST_STD)
    return CodeScale(mean=wide.astype(np.float32), std=std.reshape(wide.shape).astype(np.float32))


def _chunks(codes: Codes) -> Iterator[Codes]:
    size = 20 * CHUNK
    return (codes[start : start + size] for start in range(0, len(codes), size))


def _standardised(split: Split, scale: CodeScale, fitted_to: str) -> Split:
    x = np.empty(split.x.shape, np.float32)
    np.subtract(split.x, scale.mean, out=x)
    x /= scale.std
    named = f"{split.digest} standardised by {fitted_to}"
    return Split(x=x, y=split.y, digest=hashlib.sha256(named.encode()).hexdigest()[:32])


class Coder:
    """Codes (B, *latent_shape) -> what the source run decodes them to, as it is shown, and back.

    The source networks are frozen and follow the codes to their device. A gradient is kept with
    respect to the codes alone, where one is asked for.
    """

    def __init__(self, source: SourceRun, scale: CodeScale | None) -> None:
        import torch

        self._model, self._beneath = source.model, source.data
        self._classes = source.head.classes
        self._nets: torch.nn.Module = source.model.nets
        self._scale = None
        if scale is not None:
            self._scale = torch.from_numpy(scale.mean), torch.from_numpy(scale.std)
        self._device = torch.device("cpu")

    def __call__(self, h: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], or points (B, D), for standardised codes."""
        self._move(h.device)
        code = h.float()
        if self._scale is not None:
            mean, std = self._scale
            code = code * std + mean
        code, y = apart(code, self._classes)
        x: Tensor = self._model.decode(code) if y is None else self._model.decode(code, y)
        return x if self._beneath.render is None else self._beneath.render(x)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The standardised means of the codes of images (B, C, H, W) in [-1, 1], or of points.

        A conditional source run needs the labels, int64 (B,). Raises UsageError without them.
        """
        from genbench_nets.labels import required, with_labels

        self._move(x.device)
        if self._beneath.encode is not None:
            x = self._beneath.encode(x, y)
        labels = None if self._classes is None else required(y)
        code: Tensor = self._model.encode(x, labels)[0].float()
        if labels is not None:
            code = with_labels(code, labels, self._classes or 0)
        if self._scale is not None:
            mean, std = self._scale
            code = (code - mean) / std
        return code

    def _move(self, device: torch.device) -> None:
        if device == self._device:
            return
        self._nets.to(device)
        if self._scale is not None:
            mean, std = self._scale
            self._scale = mean.to(device), std.to(device)
        self._device = device
