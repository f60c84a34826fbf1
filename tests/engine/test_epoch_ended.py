"""What a stage does at the end of an epoch is as repeatable as its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genbench.engine.restoring import read_checkpoint
from genbench.errors import InterruptedRunError
from genbench.events import EpochDone


@pytest.fixture
def restless(tiny):
    """The tiny model; its decoder is shaken at the end of each epoch of its first stage."""

    class Restless(tiny.LatentGAN):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[tuple[int, bool, bool]] = []

        def stages(self):
            first, *others = super().stages()
            return (replace(first, epoch_ended=self.shake), *others)

        def shake(self, epoch: int) -> None:
            training = self.nets["encoder"].training
            self.calls.append((epoch, training, torch.is_grad_enabled()))
            weight = self.nets["decoder"].weight
            weight += 0.1 * torch.randn_like(weight)

    return Restless


def test_it_is_called_once_an_epoch_in_eval_mode_without_gradients(
    tiny, restless, tmp_path
) -> None:
    run = tiny.run(restless, tiny.spec(), tmp_path)
    assert run.model.calls == [(1, False, False), (2, False, False)]


def test_validation_sees_what_it_changed(tiny, restless, tmp_path) -> None:
    plain = tiny.run(tiny.LatentGAN, tiny.spec(), tmp_path / "plain").log.of(EpochDone)[0]
    shaken = tiny.run(restless, tiny.spec(), tmp_path / "shaken").log.of(EpochDone)[0]
    trained = [key for key in plain.losses if not key.startswith("test/")]
    assert all(plain.losses[key] == shaken.losses[key] for key in trained)
    tested = [key for key in plain.losses if key.startswith("test/")]
    assert tested
    assert any(plain.losses[key] != shaken.losses[key] for key in tested)


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_a_resumed_run_ends_bitwise_where_an_unbroken_one_ends(
    tiny, restless, tmp_path, steps
) -> None:
    whole = tiny.run(restless, tiny.spec(), tmp_path / "whole").log
    log, folder, left = tiny.Log(), tmp_path / "broken", [steps]

    def stop() -> bool:
        left[0] -= 1
        return left[0] == 0

    with pytest.raises(InterruptedRunError):
        tiny.run(restless, tiny.spec(), folder, log=log, should_stop=stop)
    tiny.run(restless, tiny.spec(), folder, log=log, resume=True)
    assert [e.losses for e in log.of(EpochDone)] == [e.losses for e in whole.of(EpochDone)]
    broken, unbroken = read_checkpoint(folder), read_checkpoint(tmp_path / "whole")
    for name, value in unbroken.weights.items():
        assert torch.equal(broken.weights[name], value), name
