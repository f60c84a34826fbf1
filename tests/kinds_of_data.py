"""Small data of each kind, and the registered models that take it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from genbench.contracts import Data, DataSpec
from genbench.errors import IncompatibleError
from genbench.registry import Registry
from genbench.testing import small_data
from genbench.testing.subject import Subject, subject

REGISTRY = Registry.from_environment()


def latents(shape: tuple[int, ...]) -> Data:
    """Codes of about unit scale, as ``latents:RUN`` has them."""
    codes, source = small_data((2,), train=32, test=16), small_data((1, 8, 8))
    spec = DataSpec(
        name="latents",
        shape=shape,
        classes=4,
        train=32,
        test=16,
        latent=True,
        source=source.spec,
    )

    def drawn(split: Any, seed: int) -> Any:
        x = np.random.default_rng(seed).normal(size=(len(split.x), *shape)).astype(np.float32)
        return replace(split, x=x)

    train, test = drawn(codes.train, 0), drawn(codes.test, 1)
    return replace(codes, spec=spec, train=train, test=test, source=source)


KINDS = {
    "images": small_data((1, 8, 8)),
    "points": small_data((2,)),
    "codes": latents((4,)),
    "grids of codes": latents((2, 4, 4)),
}
ADAPTED: dict[str, dict[str, Any]] = {
    **{name: {"loss": "mse"} for name in ("ae", "cae", "dae")},
    "vae": {"likelihood": "gaussian"},
    "vae-gmm": {"likelihood": "mse"},
    "cvae-gan": {"network": "mlp"},
}
"""What a model must be told for data without bounds."""


def chosen(name: str, **settings: Any) -> Subject:
    """A registered model with some settings."""
    kind: Any = REGISTRY.settings("model", name)
    return subject("model", name, kind(**settings), REGISTRY)


@cache
def fitting() -> list[tuple[str, str]]:
    """The names of models, each with the kinds of data that it takes."""
    found = []
    for registration in REGISTRY.of("model"):
        for kind, data in KINDS.items():
            told = ADAPTED.get(registration.name, {}) if kind != "images" else {}
            settings: Any = chosen(registration.name, **told).settings
            try:
                settings.check(small_data((1, 28, 28)).spec if kind == "images" else data.spec)
            except IncompatibleError:
                continue
            found.append((registration.name, kind))
    return found
