"""Out of memory outside the training steps: what was going on, its size, and what helps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genbench.pictures.samples import fixed_samples
from genbench.runner.ending import in_words
from genbench.spec import RunSpec
from genbench.testing import small_data

SPEC = RunSpec(model="m", dataset="d", epochs=1, batch_size=100)
MANY = 2**50


def drawing() -> None:
    model = SimpleNamespace(prior=lambda n, generator=None: torch.randn(n, 4))
    fixed_samples(model, small_data((1, 8, 8)), seed=0, n=MANY)


def elsewhere() -> None:
    torch.empty(MANY)


def too_long_a_list() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (drawing, "while drawing pictures (it asked for"),
        (elsewhere, "outside the training steps (it asked for"),
        (too_long_a_list, "outside the training steps; use"),
    ],
)
def test_memory_that_no_step_asked_for_is_never_blamed_on_the_batch(run, said):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        run()
    text = str(in_words(caught.value, SPEC, Path("error.txt")))
    assert text.startswith(f"out of memory on cpu {said}")
    assert "batch" not in text
    assert "error.txt" in text
