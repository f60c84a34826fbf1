"""Compressors: methods that make the model of a finished run smaller or faster.

``genbench compress RUN --method NAME`` trains each of them as a run of its own, whose parent is
RUN. One file for each paper; `channels` and `masks` are what they remove.
"""

from __future__ import annotations

import genbench

MAKES_SAMPLES = ("generates",)


@genbench.hookimpl
def genbench_register_compressors(register: genbench.Register) -> None:
    """The methods, with what they need of a model."""
    register(
        "prune",
        "genbench_compress.prune:Prune",
        settings="genbench_compress.prune_settings:PruneSettings",
        summary="remove weights or whole channels, at once or in rounds, and fine-tune",
        family="pruning",
        source="Han et al. 2015, arXiv:1506.02626; Li et al. 2017, arXiv:1608.08710",
        capabilities=MAKES_SAMPLES,
    )
