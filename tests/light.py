"""Registered models with networks so small that their laws are checked within a second or two.

A law of the contract holds for all sizes or for none; the default networks are trained by the tests
that a model learns, and by the commands of the documentation.
"""

from __future__ import annotations

from typing import Any

from genbench.registry import Registry

REGISTRY = Registry.from_environment()
WIDTHS: dict[str, Any] = {
    "hidden": (32,),
    "vae_hidden": (32,),
    "g_hidden": (16,),
    "d_hidden": (16,),
    "judge_hidden": (16,),
    "t_hidden": (32,),
    "q_hidden": 16,
}
"""Widths by the names that most models give them."""
OWN: dict[str, dict[str, Any]] = {
    "cvae-gan": {"network": "mlp", "z_dim": 6, "hidden": (64,), "judge_hidden": (48, 32)},
    "dcgan": {"g_channels": 4, "d_channels": 4},
    **{name: {"channels": (8,)} for name in ("ddpm", "edm", "flow-matching")},
    "maf": {"hidden": (16,), "layers": 2},
    "nsf": {"hidden": (8,), "layers": 2, "bins": 3},
    "pixelcnn": {"layers": 2, "channels": 4, "hidden": 8, "kernel": 3},
    "r3gan": {"channels": 8, "hidden": (16,)},
    "realnvp": {"channels": 4, "blocks": 0},
    # With 16 units no logit leaves the margins of the hinge loss: D's last bias would never move.
    "sngan": {"g_hidden": (32,), "d_hidden": (32,), "z_dim": 8},
    "stargan": {"g_channels": 4, "d_channels": 4, "g_blocks": 1},
    "vq-vae": {"codes": 16, "channels": (4, 8), "prior_width": 16},
}
"""The settings of models that have other networks."""


def light(name: str) -> Any:
    """The settings of a registered model with small networks."""
    kind: Any = REGISTRY.settings("model", name)
    given = {field: value for field, value in WIDTHS.items() if field in kind.model_fields}
    return kind(**OWN.get(name, given))
