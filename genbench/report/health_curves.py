"""Signs of health over the training: D's outputs, gradient norms, and scores of few samples."""

from __future__ import annotations

from genbench.compare import Row
from genbench.report.curves import Panel, Recorded, panel

OUTPUTS = ("monitor/d_real", "monitor/d_fake", "monitor/d_accuracy")
NORM, PROBE = "_grad_norm", "watch/"


def health_panels(recorded: Recorded, row: Row) -> list[Panel]:
    """Panels for a row; none if its runs were not monitored."""
    series = recorded.series()
    outputs = {_name(key): series[key] for key in OUTPUTS if key in series}
    probes = {key.removeprefix(PROBE): series[key] for key in series if key.startswith(PROBE)}
    norms = {
        _name(key).removesuffix(NORM): samples
        for key, samples in series.items()
        if key.startswith("monitor/") and key.endswith(NORM)
    }
    if not (outputs or probes):
        return []
    panels = [
        panel(row, "outputs of the discriminator", "mean", outputs),
        panel(row, "gradient norms", "norm before clipping", norms),
    ]
    panels += [
        panel(row, f"{name} of few samples", name, {name: samples})
        for name, samples in probes.items()
    ]
    # A single point is not a curve.
    return [p for p in panels if any(len(c.points) > 1 for of in p.curves.values() for c in of)]


def _name(key: str) -> str:
    return key.partition("/")[2]
