"""How a model is drawn from stands beside its training: its own sampler, settings of drawing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import genbench
from genbench.cli import listing
from genbench.contracts import Batch, MetricContext, Optimizer, Phase, Score, Stage
from genbench.errors import SettingError, UsageError
from genbench.health import monitor
from genbench.planning.choices import choose
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import evaluate_run, run, sample_run
from genbench.settings import describe_settings
from genbench.spec import Part, RunSpec


class FlowSettings(genbench.ModelSettings):
    width: int = Field(4, ge=1)
    n_steps: Annotated[int, genbench.OF_DRAWING] = Field(8, ge=1, description="steps of a draw")


@runtime_checkable
class Steps(Protocol):
    def step(self, x: Tensor) -> Tensor:
        """One step towards the data."""


class Flow:
    """Has no prior of its own: its sampler walks. ``n_steps`` brightens."""

    averaged = ()

    def __init__(self, settings: FlowSettings, data: genbench.DataSpec) -> None:
        self.settings, self.shape = settings, data.shape
        self.nets = nn.ModuleDict({"net": nn.Linear(1, settings.width)})

    def optimizers(self) -> dict[str, Optimizer]:
        return {"flow": Optimizer(nets=("net",), lr=1e-3)}

    def stages(self) -> tuple[Stage, ...]:
        phase = Phase(name="flow", loss=self.loss, updates=("flow",))
        return (Stage(name="train", phases=(phase,)),)

    def loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        return {
            "flow": {"square": self.nets["net"](batch.x.mean((1, 2, 3))[:, None]).square().mean()}
        }

    def step(self, x: Tensor) -> Tensor:
        return x + 0.1


class Walk:
    """The model's own sampler; ``drawn`` keeps how many it drew at each call."""

    requires = ("own:steps",)
    drawn: ClassVar[list[int]] = []
    seconds: ClassVar[float] = 0.0

    def __init__(self, settings: genbench.Settings) -> None:
        del settings

    def draw(self, model: Any, n: int, context: genbench.SampleContext) -> Iterator[Tensor]:
        self.drawn.append(n)
        time.sleep(self.seconds)
        x = 0.1 * torch.rand(n, *model.shape, generator=context.generator) - 1
        for _ in range(model.settings.n_steps):
            x = model.step(x)
        yield x

    def diagnostics(self) -> Mapping[str, float]:
        return {}


class Grey:
    """Mean grey of the samples."""

    uses = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: genbench.Settings) -> None:
        del settings

    def begin(self, context: MetricContext) -> None:
        self.seen: list[float] = []

    def update(self, images: Tensor) -> None:
        self.seen += images.float().mean((1, 2, 3)).tolist()

    def result(self) -> Sequence[Score]:
        value = float(np.mean(self.seen))
        return [Score(metric="own_grey", value=value, n=len(self.seen), protocol={"v": 1})]


def plugin() -> ModuleType:
    module = ModuleType("own")
    here = __name__

    def genbench_register_capabilities(register: genbench.RegisterCapability) -> None:
        register("own:steps", f"{here}:Steps")

    def genbench_register_models(register: genbench.Register) -> None:
        settings = f"{here}:FlowSettings"
        can = ("own:steps",)
        register(
            "flow", f"{here}:Flow", settings=settings, capabilities=can, default_sampler="walk"
        )

    def genbench_register_samplers(register: genbench.Register) -> None:
        register("walk", f"{here}:Walk", capabilities=("own:steps",))

    def genbench_register_metrics(register: genbench.Register) -> None:
        register("own_grey", f"{here}:Grey", watch=True)

    for hook in (
        genbench_register_capabilities,
        genbench_register_models,
        genbench_register_samplers,
        genbench_register_metrics,
    ):
        setattr(module, hook.__name__, genbench.hookimpl(hook))
    return module


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry.from_environment(strict=True)
    registry.add(plugin(), strict=True)
    return registry


@pytest.fixture(autouse=True)
def walk() -> type[Walk]:
    Walk.drawn.clear()
    Walk.seconds = 0.0
    return Walk


@pytest.fixture
def spec(registry, access, tmp_path) -> RunSpec:
    sets = ("data.size=8", "epochs=2", "batch_size=500", "samples=40", "watch=false")
    request = Request(model="flow", dataset="digits", sets=sets, run={"metrics": ("own_grey",)})
    return resolve(request, registry, access, {}, tmp_path).spec


def test_a_models_own_sampler_scores_where_none_is_named(spec, registry, store, access) -> None:
    assert spec.samplers == (Part(name="walk", settings={}),)
    done = run(spec, registry=registry, store=store, access=access)
    assert [score.sampler for score in store.scores(done.id)] == ["walk"]


def test_pictures_and_samples_are_drawn_by_it_too(
    spec, registry, store, access, walk, tmp_path
) -> None:
    done = run(spec, registry=registry, store=store, access=access)
    assert walk.drawn.count(64) == 3, "the grids of both epochs and of the final weights"
    assert "samples" in {artifact.kind for artifact in store.artifacts(done.id)}
    walk.drawn.clear()
    out = tmp_path / "x.npz"
    sample_run(done.id, registry=registry, store=store, access=access, out=out, n=5)
    assert walk.drawn == [5]


def test_the_watch_looks_through_it(spec, registry, store, access, walk, monkeypatch) -> None:
    monkeypatch.setattr(monitor, "IMAGES", 6_000)
    watched = replace(spec, watch=True, epochs=7, metrics=())
    done = run(watched, registry=registry, store=store, access=access)
    assert walk.drawn.count(monitor.SAMPLES) == 2, "after epoch 6 and the last"
    assert len(store.series(done.id, "watch/own_grey")) == 2


def test_settings_of_drawing_change_a_stored_run_and_tell_its_rows_apart(
    spec, registry, store, access
) -> None:
    done = run(spec, registry=registry, store=store, access=access)
    choices = choose(done.id, spec, registry, sets=["model.n_steps=2"])
    assert choices.drawing == {"n_steps": 2}
    evaluate_run(done.id, registry=registry, store=store, access=access, drawing=choices.drawing)
    first, second = store.scores(done.id)
    assert (first.sampler_settings, second.sampler_settings) == ({}, {"model.n_steps": 2})
    # Six steps of 0.1 less, 127.5 levels a unit.
    assert first.value - second.value == pytest.approx(0.6 * 127.5, abs=1)
    assert store.run(done.id) == done


def test_the_runs_own_value_is_no_change(spec, registry) -> None:
    assert choose("x", spec, registry, sets=["n_steps=8"]).drawing == {}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("width=3", UsageError, "settings of 'flow' can change: n_steps.*rerun x --set width"),
        ("n_steps=0", SettingError, "n_steps"),
        ("data.size=4", UsageError, "--set data.size: run x is trained with its own"),
        ("bogus=1", SettingError, "'flow' has no sampling setting 'bogus'; known: n_steps."),
        ("epochs=3", UsageError, "--set epochs: run x is already trained, so this has no effect"),
        ("sampler.plain.a=1", UsageError, "sampler 'plain' is not used here; add --sampler plain"),
        ("metric.nll.k=1", UsageError, "metric 'nll' is not used here"),
        ("sampler.walk.a=1", SettingError, "sampler 'walk' has no setting 'a'"),
    ],
)
def test_a_setting_that_nothing_uses_is_refused(spec, registry, given, error, said) -> None:
    with pytest.raises(error, match=said):
        choose("x", spec, registry, sets=[given])


def test_a_listing_tells_settings_of_drawing_and_the_models_own_sampler(registry, capsys) -> None:
    settings = describe_settings(FlowSettings)
    assert {s.name: s.of_drawing for s in settings} == {"width": False, "n_steps": True}
    listing._print_head(registry.get("model", "flow"))
    listing._print_settings(settings, listing.Format.TABLE)
    told = capsys.readouterr().out
    assert "  sampler walk" in told
    assert "sample and evaluate take --set model.NAME=VALUE of: n_steps" in told


def test_a_name_may_carry_settings_in_brackets(spec, registry) -> None:
    thrice = ["nearest[n=50,rows=2]", "nearest", "nearest[n=50,rows=2]"]
    chosen = choose("x", spec, registry, metrics=thrice, sets=["metric.nearest.rows=3"]).metrics
    assert [(part.settings["n"], part.settings["rows"]) for part in chosen] == [(50, 2), (1000, 3)]
    for wrong in ("nearest[n=50", "nearest[50]", "nearest[m=50]"):
        with pytest.raises(SettingError, match="nearest"):
            choose("x", spec, registry, metrics=[wrong])


def test_a_dear_look_is_put_off_until_training_has_taken_its_time(
    spec, registry, store, access, walk
) -> None:
    walk.seconds = monitor.FREE_S + 0.05
    watched = replace(spec, watch=True, epochs=30, metrics=(), sample_every=100)
    done = run(watched, registry=registry, store=store, access=access)
    looks = walk.drawn.count(monitor.SAMPLES)
    assert looks == 1, "30 epochs of a few milliseconds never pay for a second one"
    [(_, following)] = store.series(done.id, "watch/next")
    assert following > 30
    assert len(store.series(done.id, "watch/own_grey")) == 1
