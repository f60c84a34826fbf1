"""Law: an interrupted and resumed run ends bitwise where an unbroken one ends."""

from __future__ import annotations

import random

import pytest
import torch

from genbench.engine.restoring import read_checkpoint
from genbench.errors import InterruptedRunError
from genbench.events import Checkpointed, Checkpointing, EpochDone, Resumed, StageStarted

HARD = {"accumulate": 2, "ema": 0.9, "clip_norm": 1.0, "seed": 5}


class CrashError(Exception):
    """Stands for kill -9: nothing of the process survives it."""


def assert_same(a, b, path="") -> None:
    """Equality of nested states to the last bit."""
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, path
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}/{k}")
    else:
        assert a == b, path


def final_state(folder):
    snapshot = read_checkpoint(folder)
    state = {key: value for key, value in snapshot.state.items() if key != "position"}
    return {
        "position": dict(snapshot.position),
        "weights": dict(snapshot.weights),
        "ema": dict(snapshot.ema),
        "state": state,
    }


def assert_same_run(log, folder, unbroken, unbroken_folder) -> None:
    assert_same(final_state(folder), final_state(unbroken_folder))
    assert [e.losses for e in log.of(EpochDone)] == [e.losses for e in unbroken.of(EpochDone)]
    assert log.series() == unbroken.series()


@pytest.fixture
def unbroken(tiny, tmp_path):
    folder = tmp_path / "unbroken"
    return tiny.run(tiny.LatentGAN, tiny.spec(**HARD), folder).log, folder


@pytest.mark.parametrize("seed", range(8))
def test_interrupted_run_ends_bitwise_where_an_unbroken_one_ends(tiny, tmp_path, unbroken, seed):
    dice, log, folder = random.Random(seed), tiny.Log(), tmp_path / "broken"
    interruptions = 0
    while True:
        left = dice.randint(1, 9)

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left == 0

        try:
            resume = interruptions > 0
            tiny.run(
                tiny.LatentGAN, tiny.spec(**HARD), folder, log=log, should_stop=stop, resume=resume
            )
            break
        except InterruptedRunError:
            interruptions += 1
            assert isinstance(log.events[-1], Checkpointed)
            assert log.events[-1].epoch_done is None
    assert interruptions >= 2
    assert_same_run(log, folder, *unbroken)


def test_crash_at_any_event_loses_nothing_that_was_reported(tiny, tmp_path, unbroken):
    reference, reference_folder = unbroken
    for k in range(0, len(reference.events), 2):
        log, folder, reported = tiny.Log(), tmp_path / f"crash-{k}", []

        def emit(event, k=k, log=log, reported=reported):
            if len(log.events) == k:
                raise CrashError
            log(event)
            if isinstance(event, Checkpointed) and event.epoch_done:
                reported.append(event.epoch_done)

        with pytest.raises(CrashError):
            tiny.run(tiny.LatentGAN, tiny.spec(**HARD), folder, emit=emit)
        before = list(reported)
        tiny.run(tiny.LatentGAN, tiny.spec(**HARD), folder, log=log, resume=True)
        assert all(done in log.of(EpochDone) for done in before)
        assert_same_run(log, folder, reference, reference_folder)


def test_checkpoints_by_the_clock_change_nothing(tiny, tmp_path, unbroken):
    folder = tmp_path / "often"
    log = tiny.run(tiny.LatentGAN, tiny.spec(**HARD), folder, checkpoint_s=0.0).log
    assert len(log.of(Checkpointed)) > len(log.of(EpochDone))
    assert_same_run(log, folder, *unbroken)
    # Told of at the end of an epoch as well as within one.
    assert {e.step for e in log.of(Checkpointing)} == {e.step for e in log.of(Checkpointed)}


def test_run_resumed_before_its_first_checkpoint_starts_anew(tiny, tmp_path, unbroken):
    log = tiny.run(tiny.LatentGAN, tiny.spec(**HARD), tmp_path / "new", resume=True).log
    assert log.of(Resumed) == [Resumed(step=0, epoch=0)]
    assert_same_run(log, tmp_path / "new", *unbroken)


def test_finished_stage_is_not_prepared_again(tiny, tmp_path):
    spec, folder, log = tiny.spec(), tmp_path / "run", tiny.Log()

    def crash_in_second_stage(event):
        if isinstance(event, StageStarted) and event.index == 1:
            raise CrashError
        log(event)

    with pytest.raises(CrashError):
        tiny.run(tiny.LatentGAN, spec, folder, emit=crash_in_second_stage)
    tiny.run(tiny.LatentGAN, spec, folder, log=log, resume=True)
    assert [e.stage for e in log.of(StageStarted)] == ["autoencoder", "gan"]
    assert [e.first_epoch for e in log.of(StageStarted)] == [1, 3]


def test_every_epoch_is_reported_safe_once_and_in_order(tiny, tmp_path):
    log = tiny.run(tiny.LatentGAN, tiny.spec(), tmp_path).log
    safe = [e.epoch_done.epoch for e in log.of(Checkpointed)]
    assert safe == [e.epoch for e in log.of(EpochDone)] == [1, 2, 3, 4, 5]


def test_what_an_evaluation_draws_moves_no_number_of_the_training(tiny, tmp_path, unbroken):
    def evaluate(done: EpochDone) -> None:
        torch.rand(done.epoch)

    folder = tmp_path / "evaluated"
    log = tiny.run(tiny.LatentGAN, tiny.spec(**HARD), folder, between_epochs=evaluate).log
    assert_same_run(log, folder, *unbroken)
