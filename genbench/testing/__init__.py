"""The contract kit: what a plugin's author runs on the plugin, one line in a test.

::

    import genbench_mine
    from genbench.testing import check_plugin

    def test_the_plugin_keeps_the_contract():
        check_plugin(genbench_mine)

Each check raises AssertionError with the law that is broken and how to fix it. The data are
small and made here, so that a check of a small model takes seconds on one core.
"""

from __future__ import annotations

from genbench.testing.compressors import check_compressor
from genbench.testing.data import small_data
from genbench.testing.listeners import check_listener
from genbench.testing.models import check_model
from genbench.testing.parts import check_dataset, check_metric
from genbench.testing.plugin import check_plugin
from genbench.testing.samplers import check_sampler

__all__ = [
    "check_compressor",
    "check_dataset",
    "check_listener",
    "check_metric",
    "check_model",
    "check_plugin",
    "check_sampler",
    "small_data",
]
