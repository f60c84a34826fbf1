"""Signs of health over training time: what D says, gradient norms, and what a watch saw."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.compare import Contender
from genbench.report.charts import Curve, Point, downsample
from genbench.report.curves import LOSS_COLOURS, Clock, Panel
from genbench.store import Store
from genbench.store.records import Epoch

SAYS = ("d_real", "d_fake", "d_accuracy")
NORM = "_grad_norm"


def sign_panels(store: Store, contender: Contender, epochs: Sequence[Epoch]) -> list[Panel]:
    """Panels of a contender's first run; none where it has no discriminator and no watch."""
    run = contender.first.run
    keys = store.keys(run)
    watched = [key for key in keys if key.startswith("watch/")]
    says = [f"monitor/{name}" for name in SAYS if f"monitor/{name}" in keys]
    norms = [key for key in keys if key.startswith("monitor/") and key.endswith(NORM)]
    if not epochs or not (watched or says):
        return []
    prepare = {stage.name: stage.prepare_s for stage in contender.first.stages}
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
        title = f"{contender.title}: {what}"
        return Panel(title=title, curves=curves, x_label="training seconds", y_label=y_label)

    panels = [panel("what the discriminator says", says, "mean")] if says else []
    if norms:
        panels.append(panel("gradient norms", norms, "norm before clipping"))
    for key in watched:
        name = key.removeprefix("watch/")
        panels.append(panel(f"{name} of few samples", [key], name))
    # One mark alone shows no course.
    return [panel for panel in panels if any(len(curve.points) > 1 for curve in panel.curves)]


def _points(store: Store, run: str, key: str, clock: Clock) -> list[Point]:
    return downsample([(clock.seconds(step), value) for step, value in store.series(run, key)])


def told(store: Store, contender: Contender) -> list[str]:
    """What each of a contender's runs was warned of, in sentences."""
    return [
        f"{contender.title}, seed {trial.seed}, after epoch {warning.epoch}: {warning.message}"
        for trial in contender.trials
        for warning in store.warnings(trial.run)
    ]
