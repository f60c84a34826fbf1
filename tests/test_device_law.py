"""The device law: parts and engine on a pretended CUDA device, where no tensor stays on the CPU.

The shapes that each model takes by default are checked with the rest of its contract
(`tests/plugins/test_contract.py`); here are the other kinds of data, and the engine itself.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from kinds_of_data import ADAPTED, KINDS, chosen, fitting

from genbench.contracts import Data
from genbench.engine import seed_everything, train
from genbench.engine.stage import Iterations
from genbench.errors import InterruptedRunError
from genbench.evaluation import evaluate
from genbench.events import EpochDone
from genbench.pictures.samples import fixed_samples
from genbench.registry import Registry
from genbench.spec import Part, RunSpec
from genbench.testing import small_data
from genbench.testing.devices import check_device
from genbench.testing.pretended import CUDA, PretendedCUDA, pretended_cuda

REGISTRY = Registry.from_environment()
CPU = torch.device("cpu")


# --- models on each kind of data -----------------------------------------------------------------


def test_most_models_take_each_kind_of_data() -> None:
    taken = [kind for _, kind in fitting()]
    assert {kind: taken.count(kind) >= 14 for kind in KINDS} == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in fitting() if pair[1] != "images"])
def test_every_model_moves_to_the_device_on_each_kind_of_data(name: str, kind: str) -> None:
    check_device(chosen(name, **ADAPTED.get(name, {})), KINDS[kind])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gan", {"augment": ["translation", "cutout", "brightness"], "minibatch_std": True}),
        ("gan", {"instance_noise": 0.1, "feature_matching": 1.0, "d_dropout": 0.3}),
        ("gan", {"r1": 1.0, "r1_every": 2, "prior": "uniform", "optimizer": "rmsprop"}),
        ("gan", {"gradient_penalty": 10.0, "loss": "wasserstein", "decay": "linear"}),
        ("cae", {"jacobian": "estimate", "relative": False, "covariance": "diag"}),
        ("vae", {"likelihood": "gaussian", "centred": True, "input_noise": 0.1}),
        ("vae", {"beta_warmup": 0.5, "input_dropout": 0.1, "schedule": "cosine"}),
        ("vae", {"iwae_samples": 3}),
        ("vae", {"network": "conv", "code": "spatial", "batch_norm": True, "channels": [4, 8]}),
        ("vae-bernoulli", {"estimator": "concrete"}),
        ("vae-bernoulli", {"baseline": "running"}),
        ("aae", {"conditional": True, "judge_labels": True, "posterior": "gaussian"}),
        ("vaegan-larsen", {"conditional": True, "adversarial": "minimax"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_options_that_compute_otherwise_move_to_the_device(
    name: str, settings: dict[str, Any]
) -> None:
    check_device(chosen(name, **settings), small_data((1, 8, 8)))


# --- the engine ----------------------------------------------------------------------------------


@pytest.fixture
def steps_never_wait(monkeypatch: pytest.MonkeyPatch) -> list[PretendedCUDA]:
    """An iteration of the engine for which the host waits is an error on the devices listed."""
    devices: list[PretendedCUDA] = []
    iterate = Iterations.iterate

    def watched(run: Iterations, *at: int) -> None:
        with devices[0].without_waiting() if devices else nullcontext():
            iterate(run, *at)

    monkeypatch.setattr(Iterations, "iterate", watched)
    return devices


def model_of(name: str, data: Data, **settings: Any) -> Any:
    part = chosen(name, **settings)
    seed_everything(0)
    return part.cls(part.settings, data.spec)


def losses(
    model: Any, data: Data, device: torch.device, folder: Path, *, stop: int = 99, **options: Any
) -> list[Any]:
    """Train on a device; the losses of all epochs."""
    done: list[EpochDone] = []

    def listen(event: Any) -> None:
        if isinstance(event, EpochDone):
            done.append(event)

    spec = RunSpec(
        model="m",
        dataset="d",
        epochs=2,
        batch_size=8,
        ema=0.9,
        clip_norm=1.0,
        log_every=4,
        capture=False,  # a graph needs a real device
    )
    with suppress(InterruptedRunError):
        train(
            model,
            data,
            spec,
            device=device,
            folder=folder,
            emit=listen,
            should_stop=lambda: len(done) >= stop,
            **options,
        )
    return [epoch.losses for epoch in done]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vaegan", {"vae_epochs": 1}),
        ("vae", {"schedule": "cosine", "centred": True}),
        ("gan", {"optimizer": "rmsprop", "r1": 1.0, "r1_every": 2}),
    ],
)
def test_a_run_on_the_device_ends_bitwise_where_one_on_the_cpu_ends_and_no_step_waits(
    name: str, settings: dict[str, Any], tmp_path: Path, steps_never_wait: list[PretendedCUDA]
) -> None:
    data = small_data((1, 8, 8))
    expected = losses(model_of(name, data, **settings), data, CPU, tmp_path / "cpu")
    with pretended_cuda() as device:
        steps_never_wait.append(device)
        found = losses(model_of(name, data, **settings), data, CUDA, tmp_path / "cuda")
    assert found == expected


def test_a_run_is_resumed_on_either_device(
    tmp_path: Path, steps_never_wait: list[PretendedCUDA]
) -> None:
    data = small_data((1, 8, 8))
    whole = losses(model_of("vae", data), data, CPU, tmp_path / "whole")
    with pretended_cuda() as device:
        steps_never_wait.append(device)
        losses(model_of("vae", data), data, CUDA, tmp_path / "a", stop=1)
        losses(model_of("vae", data), data, CPU, tmp_path / "b", stop=1)
        there = losses(model_of("vae", data), data, CUDA, tmp_path / "b", resume=True)
    back = losses(model_of("vae", data), data, CPU, tmp_path / "a", resume=True)
    assert there == back == whole[1:]


def test_a_step_on_a_memory_map_does_not_wait_for_its_rows(
    tmp_path: Path, steps_never_wait: list[PretendedCUDA], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small_data((1, 8, 8))
    monkeypatch.setattr("genbench.engine.feed._fits", lambda x, device: False)
    with pretended_cuda() as device:
        steps_never_wait.append(device)
        assert losses(model_of("cgan", data), data, CUDA, tmp_path)


def test_an_evaluation_works_on_the_device(tmp_path: Path) -> None:
    data = small_data((1, 8, 8), train=128, test=64)
    names = ("fd_pixel", "precision", "spread", "nearest", "nll", "elbo")
    metrics = [(Part(name=n), REGISTRY.target("metric", n)(quick(n))) for n in names]
    samplers = [(Part(name="plain"), REGISTRY.target("sampler", "plain")(None))]

    def scores(model: Any, device: torch.device) -> dict[str, float]:
        records = evaluate(
            model,
            data,
            samplers=samplers,
            metrics=metrics,
            device=device,
            seed=0,
            cache=tmp_path,
            offline=True,
            epoch=1,
            stage="train",
            batch_size=32,
        )
        found = list(records)
        assert not any(record.skipped for record in found), [record.skipped for record in found]
        return {score.metric: score.value for record in found for score in record.scores}

    expected = scores(model_of("vae", data, likelihood="gaussian"), CPU)
    with pretended_cuda():
        model = model_of("vae", data, likelihood="gaussian")
        model.nets.to(CUDA)
        assert scores(model, CUDA) == pytest.approx(expected, rel=1e-5)
        assert fixed_samples(model, data, seed=0).device == CPU


def quick(metric: str) -> Any:
    """Settings of a metric that need no network and few draws."""
    kind: Any = REGISTRY.settings("metric", metric)
    known = {"extractor": "pixels", "k": 10} if metric != "fd_pixel" else {}
    return kind and kind(**{name: v for name, v in known.items() if name in kind.model_fields})
