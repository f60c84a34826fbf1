"""active_units: how many latents a model uses.

A unit u is active if its posterior mean varies with the sample, Var_x(E_q(u|x)[u]) > 0.01 (Burda,
Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2). We differ in using test samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from genbench import Score
from genbench_metrics.held_out import held_out_protocol, posteriors
from genbench_metrics.likelihood_settings import ActiveUnitsSettings
from genbench_metrics.metric import ModelMetric


class ActiveUnits(ModelMetric[ActiveUnitsSettings]):
    """The number of active units; a collapsed posterior has none."""

    requires = ("encodes",)
    defaults = ActiveUnitsSettings

    def result(self) -> Sequence[Score]:
        """One score, ``active_units``."""
        context, threshold = self._context, self._settings.threshold
        n = min(self._settings.n, len(context.data.test.x))
        means = [p.mean.cpu() for p in posteriors(context, n, context.batch_size)]
        variance = torch.cat(means).double().var(0, correction=0)
        return [
            Score(
                metric="active_units",
                value=float((variance > threshold).sum()),
                n=n,
                direction="max",
                unit="units",
                protocol={
                    "threshold": threshold,
                    **held_out_protocol(context, n),
                    "implementation": "genbench-active-units-1",
                },
                note=f"of {len(variance)}",
            )
        ]
