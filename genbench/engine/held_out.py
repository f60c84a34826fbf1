"""The validation split: a fixed share of the training split that is held out of the training.

The bytes of each sample decide by a hash on which side it falls. So the split is the same whatever
the order of the samples, the machine or the version, exact duplicates fall on one side, and holding
out twice changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from genbench.contracts import HELD_OUT, TEST, Data, Split
from genbench.errors import DataError, IncompatibleError

Array = np.ndarray[Any, Any]


def scored_on(data: Data, split: str, owner: str) -> Data:
    """The data with the samples of ``split`` as its test split, and without them in the training.

    Latents are split as the data that was encoded. ``owner`` names the data in messages. Raises
    DataError if too few samples are held out, and IncompatibleError for latents of a run that was
    split in another way.
    """
    if data.source is not None:
        _check_source(data.source, split, owner)
    elif split != TEST:
        data = _hold_out(data, owner)
    return replace(data, scored_on=split)


def is_held_out(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each sample of (N, ...) belongs to the validation split, (N,)."""
    most = int(2**64 * HELD_OUT)
    hashes = (hashlib.blake2b(np.asarray(one).tobytes(), digest_size=8) for one in x)
    numbers = (int.from_bytes(one.digest(), "big") for one in hashes)
    return np.fromiter((number < most for number in numbers), np.bool_, count=len(x))


def _hold_out(data: Data, owner: str) -> Data:
    out = is_held_out(data.train.x)
    found = int(out.sum())
    if found < 2 or found == len(out):
        raise DataError(
            f"{owner} has {len(out):,} training samples, and --scored-on validation would hold out "
            f"{found}, but needs at least 2 on either side; use more data, or --scored-on test"
        )
    train, test = _part(data.train, ~out, "training"), _part(data.train, out, "validation")
    # The sizes that planning expects, so that defaults that depend on them are the same.
    return replace(data, spec=data.spec.scored_on("validation"), train=train, test=test)


def _part(split: Split, rows: Array, name: str) -> Split:
    """The samples of a split in these rows, copied into memory."""
    digest = hashlib.sha256(f"{split.digest} {name} {HELD_OUT}".encode()).hexdigest()[:32]
    y = None if split.y is None else split.y[rows]
    return Split(x=np.asarray(split.x[rows]), y=y, digest=digest)


def _check_source(source: Data, split: str, owner: str) -> None:
    if (source.scored_on == TEST) == (split == TEST):
        return
    if split == TEST:
        raise IncompatibleError(
            f"{owner}: the run that made these latents held samples out for validation; add "
            "--scored-on validation, or name a run that was scored on the test split"
        )
    raise IncompatibleError(
        f"{owner}: the run that made these latents was trained on the samples that --scored-on "
        f"{split} holds out; name a run that was trained with --scored-on validation"
    )
