"""Binarised grey images, for models with a Bernoulli likelihood.

A pixel of grey level g (0 to 255) becomes white with probability g / 255, as in Salakhutdinov and
Murray 2008, "On the quantitative analysis of deep belief networks". ``fixed`` draws every image
once; ``dynamic`` draws the training images again for each minibatch (Burda et al. 2016,
arXiv:1509.00519, section 5) and the test images once. Both have the same test images, but they are
different protocols: a network that is trained on new draws overfits less, by about 2 nats. We
differ from the usual fixed MNIST (Larochelle's files) in the draw, not in its distribution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from genbench import Data
from genbench_data.image_settings import Binarize
from genbench_data.resize import Pixels
from genbench_data.split_cache import Decode, Decoding

if TYPE_CHECKING:
    from torch import Tensor

SEED = 0
"""The seed of numpy's RandomState, which has a frozen stream (NEP 19); it is not a setting."""


KEY = f"fixed, seed {SEED}"
"""The part of the cache key for binarised images."""


def load_as(binarize: Binarize, read: Callable[[bool], Data]) -> Data:
    """The data set for this setting; ``read(True)`` reads fixed draws, else grey images."""
    if binarize == "none":
        return read(False)
    drawn = read(True)
    return drawn if binarize == "fixed" else _redrawn_in_training(read(False), drawn)


def drawn_once(decode: Decode) -> Decode:
    """The same decoding with every image drawn once, and a separate stream for each split."""

    def decode_and_draw() -> tuple[Decoding, Decoding]:
        train, test = decode()
        return _drawn(train, part=0), _drawn(test, part=1)

    return decode_and_draw


def redrawn(x: Tensor) -> Tensor:
    """Binary draws (-1 or 1) from grey images in [-1, 1], with the global generator."""
    return x.add(1).mul_(0.5).clamp_(0, 1).bernoulli().mul_(2).sub_(1)


def _redrawn_in_training(grey: Data, drawn: Data) -> Data:
    """Train on new draws of the grey images, and test on the fixed draw.

    The digest of the training split differs from that of the grey images, since what is cached for
    it (a floor, a classifier) is computed from draws.
    """
    named = f"{grey.train.digest} redrawn for each minibatch"
    digest = hashlib.sha256(named.encode()).hexdigest()[:32]
    return replace(drawn, train=replace(grey.train, digest=digest), augment=redrawn)


def _drawn(decoding: Decoding, *, part: int) -> Decoding:
    random = np.random.RandomState([SEED, part])
    return replace(decoding, chunks=_draws(decoding.chunks, random))


def _draws(chunks: Iterable[Pixels], random: np.random.RandomState) -> Iterator[Pixels]:
    """Draws as 0 and 255, in chunks; the draws don't depend on the size of the chunks."""
    for grey in chunks:
        white = random.random_sample(grey.shape) < grey / 255.0
        yield np.where(white, np.uint8(255), np.uint8(0))
