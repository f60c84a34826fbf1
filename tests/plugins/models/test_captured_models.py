"""Every registered model's steps can be captured, or the model is listed here with the reason.

A tape stands in for the graph alone, so a number that a step computes in Python, and that a graph
would freeze, makes the two trainings differ.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from light import light
from tape import Tape

from genbench.engine import seed_everything, train
from genbench.events import EpochDone
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.testing.subject import subject
from genbench.testing.trial import build, fitting_data

REGISTRY = Registry.from_environment()
MODELS = [part.name for part in REGISTRY.of("model")]
STEP = "its loss reads batch.step"
ORDINARY = {
    ("cvae", "elbo"): STEP,  # label_first: the factor on the KL falls over the first steps
    ("cvae-gan", "joint"): STEP,
    ("r3gan", "d"): STEP,  # gamma falls by a cosine
}
"""The phases that are not captured, with the reason."""


@pytest.fixture
def tape(monkeypatch):
    """RMSprop takes its form for graphs on any device; only a check of the device is in its way."""
    module = sys.modules["torch.optim.rmsprop"]
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda: ["cpu"])
    return Tape()


def trained(name, folder, graphs=None, device="cpu", **changes):
    """Two epochs of 9 batches for each update of an iteration; float32 holds the rates exactly."""
    # Adam makes steps of the rounding errors in the gradients of a light flow's biases.
    settings = None if name == "flow-matching" else light(name)
    part = subject("model", name, settings, REGISTRY)
    data = fitting_data(part.settings)
    model = build(part, data)
    stages, optimizers = model.stages, model.optimizers
    epochs = 2 * max(phase.repeat for stage in stages() for phase in stage.phases)
    model.stages = lambda: [replace(s, epochs=epochs if s.phases else None) for s in stages()]
    model.optimizers = lambda: {k: replace(o, lr=2.0**-12) for k, o in optimizers().items()}
    told = {}

    def listen(event):
        if isinstance(event, EpochDone):
            told[event.stage] = event.execution

    seed_everything(0)
    spec = RunSpec(model=name, dataset="small", epochs=epochs, batch_size=7, **changes)
    where = torch.device(device)
    train(model, data, spec, device=where, folder=folder, emit=listen, graphs=graphs)
    return model.nets.state_dict(), told


def check_captured(name, told):
    for stage, phases in told.items():
        for phase, found in phases.items():
            if (reason := ORDINARY.get((name, phase))) is not None:
                assert reason in found.reason, (stage, phase)
            else:
                assert found.reason == "", (stage, phase)
                assert found.captured > 0, (stage, phase)


@pytest.mark.parametrize("name", MODELS)
def test_captured_steps_of_every_model_are_its_ordinary_steps(name, tape, tmp_path):
    plain, _ = trained(name, tmp_path / "plain")
    taped, told = trained(name, tmp_path / "taped", tape)
    torch.testing.assert_close(taped, plain, rtol=1e-5, atol=1e-5)
    check_captured(name, told)


@pytest.mark.cuda
@pytest.mark.parametrize("name", MODELS)
def test_cuda_graphs_of_every_model_are_its_ordinary_steps(name, tmp_path):
    """Some kernels add in an order that differs from call to call, so not all bits are equal."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    plain, _ = trained(name, tmp_path / "plain", device="cuda:0", capture=False)
    captured, told = trained(name, tmp_path / "captured", device="cuda:0")
    torch.testing.assert_close(captured, plain, rtol=1e-3, atol=1e-4)
    check_captured(name, told)
