"""A code that starts dear, so that a conditional model learns to use the label first.

A code can tell the class, and where it does a decoder has no need of the label: samples of z ~ N(0,
I) are then of whatever class z stands for. While bits of the code cost much more than they are
worth, the label, which costs nothing, is all that the decoder can tell the class by; once it does,
the code has no more to gain from it.
"""

from __future__ import annotations

from genbench import Batch

DEAR = 20.0
"""The factor on the KL at the first step."""


def label_first(batch: Batch, share: float) -> float:
    """The factor on the KL at this step: from `DEAR` to 1 over the first ``share`` of the steps.

    It falls geometrically; 1 throughout where ``share`` is 0.
    """
    falling = share * batch.steps
    return float(DEAR ** (1.0 - batch.step / falling)) if batch.step < falling else 1.0
