"""The built-in listeners: they pass a run on to tools that people use already (docs/listeners.md).

Each needs a package that genbench doesn't depend on: ``pip install 'genbench[tensorboard]'``.
"""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_listeners(register: genbench.Register) -> None:
    """Register the built-in listeners."""
    register(
        "tensorboard",
        "genbench_listeners.tensorboard:TensorBoard",
        settings="genbench_listeners.settings:TensorBoardSettings",
        family="tracking",
        summary="losses, scores, pictures and settings as TensorBoard events",
        source="https://www.tensorflow.org/tensorboard",
    )
    register(
        "mlflow",
        "genbench_listeners.mlflow:MLflow",
        settings="genbench_listeners.settings:MLflowSettings",
        family="tracking",
        summary="the run as an MLflow run, with its files as artifacts",
        source="https://mlflow.org",
    )
    register(
        "wandb",
        "genbench_listeners.wandb:WeightsAndBiases",
        settings="genbench_listeners.settings:WandbSettings",
        family="tracking",
        summary="the run as a Weights & Biases run, offline by default",
        source="https://docs.wandb.ai",
    )
