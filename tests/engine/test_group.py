"""Laws of runs that are trained together: each is the run that it is alone, but for its noise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tape import Tape

from genbench.engine import GroupedRun, seed_everything, train, train_together, try_together
from genbench.engine.restoring import read_checkpoint
from genbench.errors import DivergedError, InterruptedRunError
from genbench.events import EpochDone, never

CPU = torch.device("cpu")
SEEDS = (5, 0, 7)


def together(
    tiny: SimpleNamespace, folder: Path, spec: Any, **options: Any
) -> dict[int, SimpleNamespace]:
    """Train the seeds together; seed -> its model, log, folder and error."""
    build: Callable[[], Any] = options.pop("build", tiny.LatentGAN)
    data = options.pop("data", None) or tiny.data()
    found, runs = {}, []
    for seed in SEEDS:
        seed_everything(seed)
        one = SimpleNamespace(model=build(), log=tiny.Log(), folder=folder / str(seed), error=None)
        found[seed] = one
        runs.append(
            GroupedRun(
                model=one.model,
                spec=replace(spec, seed=seed),
                folder=one.folder,
                emit=one.log,
                failed=lambda error, one=one: setattr(one, "error", error),
            )
        )
    try:
        stop = options.pop("should_stop", never)
        train_together(runs, data, device=CPU, should_stop=stop, **options)
    except InterruptedRunError as error:
        for one in found.values():
            one.error = error
    return found


def assert_close(found: Any, expected: Any, path: str = "") -> None:
    """Equality of nested states up to the rounding of 60 steps in fp32."""
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(
            found, expected, rtol=1e-4, atol=2e-5, msg=lambda m: f"{path}: {m}"
        )
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for key in expected:
            assert_close(found[key], expected[key], f"{path}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), path
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_close(a, b, f"{path}/{k}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=2e-5), path
    else:
        assert found == expected, path


def compared(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds, without its seconds and the state of the generators."""
    snapshot = read_checkpoint(folder)
    state = {k: v for k, v in snapshot.state.items() if k not in ("generators", "position")}
    return {
        "position": dict(snapshot.position),
        "weights": dict(snapshot.weights),
        "ema": dict(snapshot.ema),
        **state,
    }


def unbiased(tiny: SimpleNamespace) -> Any:
    """The stand-in without the biases before BatchNorm.

    Their gradients are 0 but for rounding, and Adam makes steps of its full rate from that.
    """
    model = tiny.LatentGAN()
    for net in ("encoder", "generator"):
        linear = model.nets[net][0]
        model.nets[net][0] = torch.nn.Linear(linear.in_features, linear.out_features, bias=False)
    return model


@pytest.mark.parametrize(
    "changes",
    [{}, {"accumulate": 2, "clip_norm": 0.5, "ema": 0.9}],
    ids=["as it is", "accumulated, clipped and averaged"],
)
def test_each_seed_ends_where_it_ends_alone_with_the_same_noise(
    changes: dict[str, Any], tiny: SimpleNamespace, tmp_path: Path, shared_noise: None
) -> None:
    """Two stages, Adam by a cosine, RMSprop with a clip, SGD with momentum, lazy and repeated
    phases, BatchNorm, dropout, a buffer moved by ``after``, data encoded by each model."""
    spec = tiny.spec(epochs=4, **changes)
    build = partial(unbiased, tiny)
    found = together(tiny, tmp_path / "together", spec, build=build)
    for seed, one in found.items():
        assert one.error is None
        alone = tiny.run(build, replace(spec, seed=seed), tmp_path / f"{seed}")
        assert_close(compared(one.folder), compared(tmp_path / f"{seed}"))
        assert_close(one.log.series(), alone.log.series())
        sizes = [
            sum(f.stat().st_size for f in folder.rglob("state.pt"))
            for folder in (one.folder, tmp_path / f"{seed}")
        ]
        assert sizes[0] < 1.1 * sizes[1]
        losses = [done.losses for done in alone.log.of(EpochDone)]
        assert_close([done.losses for done in one.log.of(EpochDone)], losses)


def test_seeds_draw_different_noise(tiny: SimpleNamespace, tmp_path: Path) -> None:
    class Drawn(tiny.LatentGAN):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.nets["discriminator"].register_buffer("seen", torch.zeros(3))

        def fakes(self, n: int) -> torch.Tensor:
            self.nets["discriminator"].seen += torch.randn(3)
            return super().fakes(n)

    found = together(tiny, tmp_path, tiny.spec(), build=Drawn)
    seen = [one.model.nets["discriminator"].seen for one in found.values()]
    assert len({tuple(values.tolist()) for values in seen}) == len(SEEDS)


def test_a_seed_that_diverges_ends_alone_and_the_others_are_bitwise_as_without_it(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    class Fragile(tiny.LatentGAN):  # type: ignore[name-defined, misc]
        """Diverges at a step of the second stage if its buffer says so."""

        ill = False

        def __init__(self) -> None:
            super().__init__()
            torch.nn.Module.register_buffer(self.nets, "ill", torch.tensor(float(Fragile.ill)))

        def g_loss(self, batch: Any) -> Any:
            terms = super().g_loss(batch)
            late = float(batch.step >= 7)
            sick = self.nets.ill * late
            return {"g": {"loss": terms["g"]["loss"] / (1 - sick)}}

    builds = iter([False, True, False])

    def build() -> Any:
        Fragile.ill = next(builds)
        return Fragile()

    spec = tiny.spec(epochs=4)
    found = together(tiny, tmp_path / "a", spec, build=build)
    Fragile.ill = False
    well = together(tiny, tmp_path / "b", spec, build=Fragile)
    first, ill, last = found.values()
    assert isinstance(ill.error, DivergedError)
    assert ill.error.kept
    assert "phase 'g' (stage 'gan') is inf at step" in str(ill.error)
    assert max(done.epoch for done in ill.log.of(EpochDone)) == 5
    assert read_checkpoint(ill.folder).position["epoch"] <= 5
    for one, same in ((first, well[SEEDS[0]]), (last, well[SEEDS[2]])):
        assert one.error is None
        weights, others = read_checkpoint(one.folder).weights, read_checkpoint(same.folder).weights
        assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_stop_writes_checkpoints_from_which_each_seed_goes_on_alone(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    calls = iter(range(1000))
    spec = tiny.spec(epochs=3)
    found = together(tiny, tmp_path, spec, should_stop=lambda: next(calls) >= 12)
    states = [read_checkpoint(one.folder).state["generators"]["cpu"] for one in found.values()]
    assert not torch.equal(states[0], states[1])
    for seed, one in found.items():
        assert isinstance(one.error, InterruptedRunError)
        assert read_checkpoint(one.folder).position["step"] == 13
        seed_everything(seed)
        model = tiny.LatentGAN()
        train(
            model,
            tiny.data(),
            replace(spec, seed=seed),
            device=CPU,
            folder=one.folder,
            emit=one.log,
            resume=True,
        )
        assert [done.epoch for done in one.log.of(EpochDone)] == [1, 2, 3, 4, 5]


def test_the_seconds_of_a_group_are_shared_out(tiny: SimpleNamespace, tmp_path: Path) -> None:
    import time

    began = time.perf_counter()
    found = together(tiny, tmp_path, tiny.spec())
    whole = time.perf_counter() - began
    epochs = [one.log.of(EpochDone) for one in found.values()]
    assert 0 < sum(done.wall_s for own in epochs for done in own) <= whole
    for dones in zip(*epochs, strict=True):
        assert max(d.train_s for d in dones) < 2 * min(d.train_s for d in dones)


def test_captured_steps_of_a_group_end_where_ordinary_ones_end(
    tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RMSprop takes its form for graphs on any device; only a check of the device is in its way.
    module = sys.modules["torch.optim.rmsprop"]
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda: ["cpu"])
    tape, build = Tape(), partial(unbiased, tiny)
    spec = tiny.spec(epochs=6, ema=0.9)
    found = together(tiny, tmp_path / "a", spec, build=build, graphs=tape)
    ordinary = together(tiny, tmp_path / "b", spec, build=build)
    assert tape.captures > 3
    for seed, one in found.items():
        assert_close(compared(one.folder), compared(ordinary[seed].folder))
        last = one.log.of(EpochDone)[-1].execution
        assert last["d"].captured == last["d"].updates > 0
        assert last["d"].reason == ""


# --- the trial


def tried(tiny: SimpleNamespace, build: Callable[[], Any], **changes: Any) -> Any:
    spec = tiny.spec(**changes)
    models = []
    for seed in SEEDS:
        seed_everything(seed)
        models.append(build())
    before = [{k: v.clone() for k, v in m.nets.state_dict().items()} for m in models]
    state = torch.get_rng_state()
    specs = [replace(spec, seed=seed) for seed in SEEDS]
    found = try_together(models, tiny.data(), specs, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    for model, values in zip(models, before, strict=True):
        own = model.nets.state_dict()
        assert all(torch.equal(own[name], values[name]) for name in values)
        assert all(p.grad is None for p in model.nets.parameters())
    return found


def test_a_trial_accepts_what_vmap_does_right_and_changes_nothing(tiny: SimpleNamespace) -> None:
    found = tried(tiny, tiny.LatentGAN)
    assert found.refusal == ""
    assert found.ratio > 0


def test_a_trial_says_in_words_why_seeds_can_not_be_trained_together(
    tiny: SimpleNamespace,
) -> None:
    class Reads(tiny.LatentGAN):  # type: ignore[name-defined, misc]
        def g_loss(self, batch: Any) -> Any:
            terms = super().g_loss(batch)
            return terms if terms["g"]["loss"] < 1e9 else {}

    class Assigns(tiny.LatentGAN):  # type: ignore[name-defined, misc]
        """Assigns a buffer, in place of changing it: in a stack, the new value is lost."""

        def move_k(self, terms: Any) -> None:
            d = self.nets["discriminator"]
            d.k = d.k + 1.0

    class Remembers(tiny.LatentGAN):  # type: ignore[name-defined, misc]
        """Counts in Python, which a stack does once for all models."""

        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def g_loss(self, batch: Any) -> Any:
            self.calls += 1
            loss = super().g_loss(batch)["g"]["loss"]
            return {"g": {"loss": loss * self.calls}}

    assert "decides by the values of a tensor" in tried(tiny, Reads).refusal
    assert "'discriminator.k'" in tried(tiny, Assigns).refusal
    assert "phase 'g'" in tried(tiny, Remembers).refusal
    assert "--compile" in tried(tiny, tiny.LatentGAN, compile=True).refusal
