"""A compiled loss that is slower says so; the measurement changes nothing of the run."""

from __future__ import annotations

import time

import pytest
import torch

from genbench.events import Noticed, StageStarted


@pytest.fixture
def compiler(monkeypatch):
    """Put another compiler in the place of Inductor, which takes half a minute here."""
    return lambda compile: monkeypatch.setattr(torch, "compile", compile)


def slower(loss):
    def compiled(batch):
        time.sleep(0.02)
        return loss(batch)

    return compiled


def notices(run):
    return [event.message for event in run.log.of(Noticed)]


def test_a_compiled_loss_that_is_slower_says_by_how_much(tiny, compiler, tmp_path):
    compiler(slower)
    run = tiny.run(tiny.LatentGAN, tiny.spec(compile=True, epochs=1), tmp_path)
    first, *rest = notices(run)
    assert first.startswith("stage 'autoencoder': with --compile, the loss of phase 'ae' takes ")
    assert first.endswith(" times as long as without, on this machine; leave it out")
    assert float(first.split(" takes ")[1].split()[0]) > 2
    assert [message.split("phase ")[1].split()[0] for message in rest] == ["'d'", "'decay'", "'g'"]
    assert all(event.prepare_s > 0.1 for event in run.log.of(StageStarted))


def test_a_compiled_loss_that_is_not_slower_is_silent(tiny, compiler, tmp_path, monkeypatch):
    compiler(lambda loss: loss)
    monkeypatch.setattr(
        "genbench.engine.loop.SLOWER", 3.0
    )  # twice the same loss, on a busy machine
    assert not notices(tiny.run(tiny.LatentGAN, tiny.spec(compile=True, epochs=1), tmp_path))


def test_measuring_the_compiler_changes_nothing_of_the_run(tiny, compiler, tmp_path):
    """Dropout, BatchNorm and noise draw and move in the trials, and are put back."""
    compiler(lambda loss: loss)
    runs = [
        tiny.run(tiny.LatentGAN, tiny.spec(compile=compile), tmp_path / str(compile))
        for compile in (False, True)
    ]
    plain, compiled = (run.model.nets.state_dict() for run in runs)
    torch.testing.assert_close(compiled, plain, rtol=0, atol=0)
    assert runs[0].log.series() == runs[1].log.series()
