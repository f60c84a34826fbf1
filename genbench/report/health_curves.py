"""Signs of health over training time: D's outputs, gradient norms, and scores of few samples."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.compare import Row
from genbench.report.charts import Curve, Point, downsample
from genbench.report.curves import LOSS_COLOURS, Clock, Panel
from genbench.store import Store
from genbench.store.records import Epoch

OUTPUTS = ("d_real", "d_fake", "d_accuracy")
NORM = "_grad_norm"


def health_panels(store: Store, row: Row, epochs: Sequence[Epoch]) -> list[Panel]:
    """Panels for the first run of a row; none if it was not monitored."""
    run = row.first.id
    keys = store.keys(run)
    probed = [key for key in keys if key.startswith("watch/")]
    outputs = [f"monitor/{name}" for name in OUTPUTS if f"monitor/{name}" in keys]
    norms = [key for key in keys if key.startswith("monitor/") and key.endswith(NORM)]
    if not epochs or not (probed or outputs):
        return []
    prepare = {stage.name: stage.prepare_s for stage in row.first.stages}
    clock = Clock(epochs, prepare)

    def panel(what: str, keys: Sequence[str], y_label: str) -> Panel:
        curves = tuple(
            Curve(
                label=key.partition("/")[2].removesuffix(NORM),
                points=_points(store, run, key, clock),
                colour=LOSS_COLOURS[i % len(LOSS_COLOURS)],
            )
            for i, key in enumerate(keys)
        )
        title = f"{row.title}: {what}"
        return Panel(title=title, curves=curves, x_label="training seconds", y_label=y_label)

    panels = [panel("outputs of the discriminator", outputs, "mean")] if outputs else []
    if norms:
        panels.append(panel("gradient norms", norms, "norm before clipping"))
    for key in probed:
        name = key.removeprefix("watch/")
        panels.append(panel(f"{name} of few samples", [key], name))
    # A single point is not a curve.
    return [panel for panel in panels if any(len(curve.points) > 1 for curve in panel.curves)]


def _points(store: Store, run: str, key: str, clock: Clock) -> list[Point]:
    return downsample([(clock.seconds(step), value) for step, value in store.series(run, key)])


def warnings_of(store: Store, row: Row) -> list[str]:
    """The warnings of the runs of a row, in sentences."""
    return [
        f"{row.title}, seed {run.seed}, after epoch {warning.epoch}: {warning.message}"
        for run in row.runs
        for warning in store.warnings(run.id)
    ]
