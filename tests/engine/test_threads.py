"""The number of threads is the fastest one by a trial, which changes nothing of the run."""

from __future__ import annotations

import time

import pytest
import torch

from genbench.engine import fastest_threads, threads_are_chosen, using_threads
from genbench.engine.randomness import rng_state

LONG = {"epochs": 2000}


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def slower_with(threads, tiny, seconds=0.004, rounding=0.0):
    """A model with losses that take longer with some threads, and may round differently."""

    class Slow(tiny.LatentGAN):
        def g_loss(self, batch):
            slow = torch.get_num_threads() == threads
            if slow:
                time.sleep(seconds)
            terms = super().g_loss(batch)
            return {"g": {"loss": terms["g"]["loss"] * (1 + rounding * slow)}}

    return Slow()


@pytest.mark.parametrize(("slow", "chosen"), [(1, 2), (2, 1)])
def test_the_fastest_number_of_threads_is_taken(tiny, slow, chosen):
    model = slower_with(slow, tiny)
    assert fastest_threads(model, tiny.data(), tiny.spec(**LONG)) == chosen
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("worth", "chosen"), [(1.0, 1), (1e9, 2)])
def test_other_rounding_has_to_be_worth_it(tiny, monkeypatch, worth, chosen):
    monkeypatch.setattr("genbench.engine.threads.WORTH", worth)
    model = slower_with(2, tiny, rounding=1e-6)
    assert fastest_threads(model, tiny.data(), tiny.spec(**LONG)) == chosen


def test_a_trial_changes_no_weight_no_buffer_and_no_generator(tiny):
    """Dropout, BatchNorm and noise draw and move in the trials, and are put back."""
    model = slower_with(2, tiny)
    before = {name: value.clone() for name, value in model.nets.state_dict().items()}
    generators = rng_state(torch.device("cpu"))
    assert fastest_threads(model, tiny.data(), tiny.spec(**LONG)) == 1
    torch.testing.assert_close(dict(model.nets.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(rng_state(torch.device("cpu"))["cpu"], generators["cpu"])
    assert all(parameter.grad is None for parameter in model.nets.parameters())


def test_a_short_run_and_a_slow_step_keep_the_usual_number(tiny, monkeypatch):
    model = slower_with(2, tiny)
    assert fastest_threads(model, tiny.data(), tiny.spec(epochs=10)) == 2
    monkeypatch.setattr("genbench.engine.threads.LIMIT_S", 0.0)
    begun = time.perf_counter()
    assert fastest_threads(model, tiny.data(), tiny.spec(**LONG)) == 2
    assert time.perf_counter() - begun < 1


def test_the_environment_chooses_before_a_trial(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert not threads_are_chosen()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_are_chosen()


def test_threads_are_used_inside_only_and_never_more_than_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    for given, used in ((None, 2), (1, 1), (3, 3), (64, 4)):
        with using_threads(given):
            assert torch.get_num_threads() == used
        assert torch.get_num_threads() == 2
