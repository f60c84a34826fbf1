"""The laws of samples_per_second: what runs, how often, and on which machine it is ranked."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from genbench import cpu_name
from genbench.testing.oracle import Oracle
from genbench_metrics.feature_settings import SamplesPerSecondSettings
from genbench_metrics.samples_per_second import SamplesPerSecond


class Slow(Oracle):
    """Takes 20 ms a batch at least, and counts them."""

    def __init__(self) -> None:
        super().__init__((1, 16, 16))
        self.sizes: list[int] = []

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        assert len(y) == len(z)
        assert not torch.is_grad_enabled()
        self.sizes.append(len(z))
        time.sleep(0.02)
        return super().generate(z, y)


def test_speed_is_the_median_of_runs_of_whole_batches_after_one_untimed(context: Any) -> None:
    model, settings = Slow(), SamplesPerSecondSettings(batch_size=10, batches=2, runs=3)
    metric = SamplesPerSecond(settings)
    metric.begin(context(model=model))
    (score,) = metric.result()
    assert model.sizes == [10] * (1 + 3) * 2
    assert 0 < score.value <= 10 / 0.02
    assert (score.n, score.direction, score.unit) == (60, "max", "1/s")


def test_protocol_names_batch_size_and_machine(context: Any) -> None:
    metric = SamplesPerSecond(SamplesPerSecondSettings(batch_size=5, batches=1, runs=1))
    metric.begin(context(model=Oracle((1, 16, 16))))
    (score,) = metric.result()
    assert score.protocol["batch_size"] == 5
    assert score.protocol["threads"] == torch.get_num_threads()
    assert score.protocol["device"] == f"cpu {cpu_name()}"
    assert score.floor is None
