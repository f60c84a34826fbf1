"""The settings of the listeners. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genbench import Settings


class TensorBoardSettings(Settings):
    """Settings of ``tensorboard``."""

    folder: str = Field(
        "tensorboard", min_length=1, description="folder of the logs; each run has its own in it"
    )


class MLflowSettings(Settings):
    """Settings of ``mlflow``."""

    uri: str = Field(
        "", description="tracking server or database (default: MLflow's own, MLFLOW_TRACKING_URI)"
    )
    experiment: str = Field("genbench", min_length=1, description="name of the MLflow experiment")


class WandbSettings(Settings):
    """Settings of ``wandb``."""

    project: str = Field("genbench", min_length=1, description="name of the project")
    mode: Literal["offline", "online"] = Field(
        "offline", description="offline writes files that wandb sync sends; online sends at once"
    )
    folder: str = Field(
        ".", min_length=1, description="folder in which wandb makes its folder wandb/"
    )
