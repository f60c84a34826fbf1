"""Signs of health over the training: D's outputs, gradient norms, and scores of few samples.

Scores of few samples are the monitor's. They are the same for all models on a data set, so each has
one chart with a curve for every row; they are not scores of a protocol and rank nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.compare import Row
from genbench.report.charts import Curve
from genbench.report.curves import Panel, Recorded, averaged, panel

OUTPUTS = ("monitor/d_real", "monitor/d_fake", "monitor/d_accuracy")
NORM, PROBE, NEXT = "_grad_norm", "watch/", "next"


def health_panels(recorded: Recorded, row: Row) -> list[Panel]:
    """Panels for a row."""
    series = recorded.series()
    outputs = {_name(key): series[key] for key in OUTPUTS if key in series}
    norms = {
        _name(key).removesuffix(NORM): samples
        for key, samples in series.items()
        if key.startswith("monitor/") and key.endswith(NORM)
    }
    panels = [
        panel(row, "outputs of the discriminator", "mean", outputs),
        panel(row, "gradient norms", "norm before clipping", norms),
    ]
    return [found for found in panels if _is_curved(found)]


def probe_panels(
    rows: Sequence[tuple[Row, Sequence[int], Recorded]], colours: Mapping[str, int]
) -> list[Panel]:
    """One panel for each score of few samples, with a curve for each experiment.

    ``rows`` are experiments with the indices of their rows.
    """
    found: dict[str, dict[str, list[Curve]]] = {}
    for row, indices, recorded in rows:
        for key, samples in recorded.series().items():
            name = key.removeprefix(PROBE)
            if name in (key, NEXT):
                continue
            made = averaged(row, samples, row.title, colours[row.title], indices)
            for axis, curve in made.items():
                found.setdefault(name, {}).setdefault(axis, []).append(curve)
    panels = [Panel(title=name, y_label=name, curves=curves) for name, curves in found.items()]
    return [panel for panel in panels if _is_curved(panel)]


def _is_curved(panel: Panel) -> bool:
    """A single point is not a curve."""
    return any(len(curve.points) > 1 for of in panel.curves.values() for curve in of)


def _name(key: str) -> str:
    return key.partition("/")[2]
