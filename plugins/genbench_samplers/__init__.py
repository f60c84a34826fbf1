"""The built-in samplers: how samples are drawn from a trained model."""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_samplers(register: genbench.Register) -> None:
    """Register the built-in samplers."""
    register(
        "plain",
        "genbench_samplers.plain:Plain",
        settings="genbench_samplers.settings:PlainSettings",
        summary="draw from the prior and generate",
        family="ancestral",
        capabilities=("generates",),
    )
