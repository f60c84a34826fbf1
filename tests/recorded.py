"""Runs that never trained: their rows are written through the store's own recorder."""

from __future__ import annotations

from typing import Any

from genbench.contracts import Score
from genbench.events import ArtifactMade, EpochDone, Evaluated, StageStarted, StepsDone, Warned
from genbench.spec import RunSpec
from genbench.store import Recorder, Store

STEPS = 20
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64


def epoch_done(number: int, **fields: Any) -> EpochDone:
    """An epoch of 2 s with 1000 images in 20 steps."""
    usual = {
        "stage": "train",
        "stage_epoch": number,
        "epoch": number,
        "step": number * STEPS,
        "images": 1000,
        "train_s": 1.5,
        "eval_s": 0.2,
        "wall_s": 2.0,
        "peak_mem": 1,
        "losses": {"vae/loss": 50.0 - number, "vae/kl": 3.0, "test/loss": 60.0 - number},
    }
    return EpochDone(**{**usual, **fields})


def scored(epoch: int, value: float) -> Evaluated:
    """A score ``fd_clf`` of samples of ``plain``."""
    return Evaluated(
        epoch=epoch,
        stage="train",
        sampler="plain",
        sampler_settings={},
        scores=[Score(metric="fd_clf", value=value, n=100, direction="min")],
        seconds={"fd_clf": 0.5},
    )


def start(
    store: Store, name: str | None = None, model: str = "vae", seed: int = 0, **more: Any
) -> str:
    """A run of 10 epochs that begins; returns its id."""
    spec = RunSpec(
        model=model,
        dataset="digits",
        epochs=10,
        batch_size=60,
        model_settings={"lr": 0.001},
        seed=seed,
    )
    environment = {"host": "here", "cpu": "a CPU"}
    run = store.create_run(spec, name=name, stages=[("train", 10)], environment=environment, **more)
    return run.id


def record(store: Store, run: str, epochs: int, *, half: bool = False, warning: str = "") -> None:
    """Record epochs with a loss that falls from 50, scores that fall to 33.25, and a picture.

    ``half``: ten steps of the next epoch too. ``warning`` comes after the last epoch.
    """
    with Recorder(store, run) as recorder:
        recorder(
            StageStarted(stage="train", index=0, epochs=10, steps_per_epoch=STEPS, first_epoch=1)
        )
        for epoch in range(1, epochs + 1):
            recorder(_steps(epoch, STEPS))
            recorder(epoch_done(epoch))
        if half:
            recorder(_steps(epochs + 1, STEPS // 2))
        picture = store.folder(run) / f"samples/epoch-{epochs:04d}.png"
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(PNG)
        recorder(ArtifactMade(kind="samples", path=picture, epoch=epochs))
        for epoch in range(1, epochs + 1):
            recorder(scored(epoch, 33.25 + 10 * (epochs - epoch)))
        if warning:
            recorder(Warned(epoch=epochs, kind="collapse", message=warning))


def _steps(epoch: int, count: int) -> StepsDone:
    first = (epoch - 1) * STEPS
    steps = range(first + 1, first + count + 1)
    series = {"vae/loss": [(step, 50 - step / 10) for step in steps]}
    return StepsDone(stage="train", epoch=epoch, step=steps[-1], series=series)
