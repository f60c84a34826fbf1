"""A compiled loss or bf16 that is slower says so; the measurement changes nothing of the run."""

from __future__ import annotations

import time

import pytest
import torch

from genbench.engine import resolve_precision
from genbench.engine.slow_options import _bf16_is_faster
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
    first, second = notices(run)
    assert first.startswith("stage 'autoencoder': with --compile, the loss of phase 'ae' takes ")
    assert first.endswith(" times as long as without, on this machine; leave it out")
    assert float(first.split(" takes ")[1].split()[0]) > 2
    assert "the losses of phases 'd', 'decay', 'g' take " in second
    assert all(event.prepare_s > 0.1 for event in run.log.of(StageStarted))


def test_a_compiled_loss_that_is_not_slower_is_silent(tiny, compiler, tmp_path, monkeypatch):
    compiler(lambda loss: loss)
    # Twice the same loss, on a busy machine.
    monkeypatch.setattr("genbench.engine.slow_options.SLOWER", 3.0)
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


def test_bf16_that_is_slower_says_by_how_much(tiny, tmp_path, monkeypatch):
    plain = torch.autocast

    def slow(*arguments, **options):
        time.sleep(0.02)
        return plain(*arguments, **options)

    monkeypatch.setattr(torch, "autocast", slow)
    run = tiny.run(tiny.LatentGAN, tiny.spec(precision="bf16", epochs=1), tmp_path)
    first, second = notices(run)
    assert first.startswith("stage 'autoencoder': with --precision bf16, the loss of phase 'ae' ")
    assert float(first.split(" takes ")[1].split()[0]) > 2
    assert "the losses of phases 'd', 'decay', 'g' take " in second


@pytest.mark.parametrize(("seconds", "chosen"), [((0.0, 0.01), "fp32"), ((0.01, 0.0), "bf16")])
def test_auto_takes_bf16_only_where_a_product_shows_it_faster(monkeypatch, seconds, chosen):
    product = torch.mm

    def timed(a, b):
        time.sleep(seconds[a.dtype is torch.bfloat16])
        return product(a, b)

    monkeypatch.setattr(torch, "mm", timed)
    monkeypatch.setattr("genbench.engine.slow_options.SIZE_CPU", 2)
    _bf16_is_faster.cache_clear()
    state = torch.get_rng_state()
    assert resolve_precision("auto", torch.device("cpu")) == chosen
    assert torch.equal(torch.get_rng_state(), state)
    _bf16_is_faster.cache_clear()


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_named_precision_is_taken_as_it_is(name):
    assert resolve_precision(name, torch.device("cpu")) == name
