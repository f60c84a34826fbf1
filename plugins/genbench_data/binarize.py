"""Grey images as black and white ones: what a Bernoulli likelihood is a likelihood of.

A pixel of grey level g (0 to 255) becomes white with probability g / 255, as in Salakhutdinov and
Murray 2008, "On the quantitative analysis of deep belief networks". ``fixed`` draws every image
once; ``dynamic`` draws the training images afresh for each minibatch (Burda et al. 2016,
arXiv:1509.00519, section 5) and the test images once. The test images are the same in both, and
yet the two are different protocols: a network that sees fresh draws overfits less, by some 2 nats.
We differ from the literature's fixed MNIST (Larochelle's files) in the draw, not in its law.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from genbench import Data
from genbench_data.resize import Pixels
from genbench_data.settings import Binarize
from genbench_data.split_cache import Decode, Decoding

if TYPE_CHECKING:
    from torch import Tensor

SEED = 0
"""Of numpy's RandomState, whose stream is frozen (NEP 19); it is no setting."""


KEY = f"fixed, seed {SEED}"
"""Part of the key under which drawn images are cached."""


def load_as(binarize: Binarize, read: Callable[[bool], Data]) -> Data:
    """The data set as its setting wants it; ``read(True)`` reads it drawn once, else grey."""
    if binarize == "none":
        return read(False)
    drawn = read(True)
    return drawn if binarize == "fixed" else _redrawn_in_training(read(False), drawn)


def drawn_once(decode: Decode) -> Decode:
    """The same decoding with every image drawn once, each split from a stream of its own."""

    def decode_and_draw() -> tuple[Decoding, Decoding]:
        train, test = decode()
        return _drawn(train, part=0), _drawn(test, part=1)

    return decode_and_draw


def redrawn(x: Tensor) -> Tensor:
    """Black and white draws (-1 or 1) of grey images in [-1, 1], by the global generator."""
    return x.add(1).mul_(0.5).clamp_(0, 1).bernoulli().mul_(2).sub_(1)


def _redrawn_in_training(grey: Data, drawn: Data) -> Data:
    """Train on fresh draws of the grey images, test on the fixed draw.

    The digest of the training split says so: what is kept under it (a floor, a classifier) is
    made of draws, not of the grey images.
    """
    named = f"{grey.train.digest} redrawn for each minibatch"
    digest = hashlib.sha256(named.encode()).hexdigest()[:32]
    return replace(drawn, train=replace(grey.train, digest=digest), augment=redrawn)


def _drawn(decoding: Decoding, *, part: int) -> Decoding:
    random = np.random.RandomState([SEED, part])
    return replace(decoding, chunks=_draws(decoding.chunks, random))


def _draws(chunks: Iterable[Pixels], random: np.random.RandomState) -> Iterator[Pixels]:
    """Draws as 0 and 255, chunk by chunk; how they are cut doesn't change the draws."""
    for grey in chunks:
        white = random.random_sample(grey.shape) < grey / 255.0
        yield np.where(white, np.uint8(255), np.uint8(0))
