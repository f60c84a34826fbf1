"""A finished training stays finished, whatever plugins raise afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import genbench
from genbench.contracts import Batch, MetricContext, Optimizer, Phase, Score, Stage
from genbench.errors import PluginError, UsageError
from genbench.registry import PluginInfo, Registry
from genbench.runner import evaluate_run, resume, run, sample_run
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Status


class Broken:
    """Which of the parts below raise; a test repairs them by clearing it."""

    parts: ClassVar[set[str]] = set()

    @classmethod
    def perhaps(cls, part: str) -> None:
        if part in cls.parts:
            raise RuntimeError(f"{part} is broken")


class Painter:
    """Generates a grey that it learns, and a sample of a class of its own making."""

    averaged = ()

    def __init__(self, settings: genbench.ModelSettings, data: genbench.DataSpec) -> None:
        self.shape = data.shape
        self.nets = nn.ModuleDict({"decoder": nn.Linear(2, int(np.prod(data.shape)))})

    def optimizers(self) -> dict[str, Optimizer]:
        return {"g": Optimizer(nets=("decoder",), lr=1e-3)}

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(name="train", phases=(Phase(name="g", loss=self.loss, updates=("g",)),)),)

    def loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        made = self.generate(self.prior(len(batch)))
        return {"g": {"mse": (made.mean(0) - batch.x.mean(0)).square().mean()}}

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 2, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if not self.nets.training:
            Broken.perhaps("generate")
        return torch.tanh(self.nets["decoder"](z)).unflatten(1, self.shape)

    def render(self, h: Tensor) -> Tensor:
        return h


class GreySettings(genbench.Settings):
    factor: float = Field(1.0, gt=0)


class Grey:
    """Mean grey; registered for watching too."""

    uses = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: GreySettings) -> None:
        Broken.perhaps("constructor")
        self.factor = settings.factor

    def begin(self, context: MetricContext) -> None:
        self.seen: list[float] = []

    def update(self, images: Tensor) -> None:
        Broken.perhaps("metric")
        self.seen += images.float().mean((1, 2, 3)).tolist()

    def result(self) -> Sequence[Score]:
        protocol = {"factor": self.factor}
        value = self.factor * float(np.mean(self.seen))
        return [Score(metric="grey", value=value, n=len(self.seen), protocol=protocol)]


class DimmedSettings(genbench.Settings):
    by: float = Field(1.0, ge=0, le=1)


class Dimmed:
    """Plain samples, times a factor."""

    requires = ("generates",)

    def __init__(self, settings: DimmedSettings) -> None:
        self.settings = settings

    def draw(self, model: Any, n: int, context: genbench.SampleContext) -> Iterator[Tensor]:
        Broken.perhaps("sampler")
        with torch.no_grad():
            yield self.settings.by * model.generate(model.prior(n, context.generator))

    def diagnostics(self) -> Mapping[str, float]:
        return {}


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    Broken.parts = set()


def plugin() -> ModuleType:
    module = ModuleType("own")

    def models(register: genbench.Register) -> None:
        register("painter", f"{__name__}:Painter", capabilities=("generates",))

    def metrics(register: genbench.Register) -> None:
        register("grey", f"{__name__}:Grey", settings=f"{__name__}:GreySettings", watch=True)

    def samplers(register: genbench.Register) -> None:
        register(
            "dimmed",
            f"{__name__}:Dimmed",
            settings=f"{__name__}:DimmedSettings",
            capabilities=("generates",),
        )

    for kind, hook in (("models", models), ("metrics", metrics), ("samplers", samplers)):
        hook.__name__ = f"genbench_register_{kind}"
        setattr(module, hook.__name__, genbench.hookimpl(hook))
    return module


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry.from_environment(strict=True)
    info = PluginInfo(name="own", distribution="genbench-own", version="1.2", module="own")
    registry.add(plugin(), info=info, strict=True)
    return registry


SPEC = RunSpec(
    model="painter",
    dataset="digits",
    dataset_settings={"size": 8},
    epochs=2,
    batch_size=500,
    samples=50,
    watch=False,
    metrics=(Part(name="grey", settings={"factor": 1.0}), Part(name="fd_pixel")),
)


def skipped(store: Store, run_id: str) -> dict[str, str]:
    return {name: why for draw in store.draws(run_id) for name, why in draw.skipped.items()}


def test_evaluate_takes_what_a_run_has_skipped_and_nothing_else(registry, store, access) -> None:
    Broken.parts = {"metric"}
    done = run(SPEC, registry=registry, store=store, access=access)
    assert done.status is Status.FINISHED
    assert [score.metric for score in store.scores(done.id)] == ["fd_pixel"]
    assert skipped(store, done.id) == {
        "grey": "metric 'grey' (genbench-own 1.2) raised RuntimeError: metric is broken"
    }
    [file] = [a for a in store.artifacts(done.id) if a.kind == "traceback"]
    trace = (store.folder(done.id) / file.path).read_text()
    assert "RuntimeError: metric is broken" in trace
    evaluate_run(done.id, registry=registry, store=store, access=access)
    assert [list(draw.skipped) for draw in store.draws(done.id)] == [[], ["grey"]]
    Broken.parts = set()
    evaluate_run(done.id, registry=registry, store=store, access=access)
    assert [score.metric for score in store.scores(done.id)] == ["fd_pixel", "grey"]
    assert all(score.final for score in store.scores(done.id))
    assert skipped(store, done.id) == {}


def test_a_finished_run_with_something_skipped_says_who_completes_it(
    registry, store, access
) -> None:
    Broken.parts = {"metric"}
    done = run(SPEC, registry=registry, store=store, access=access)
    with pytest.raises(UsageError, match=f"grey was skipped.*: genbench evaluate {done.id}"):
        resume(done.id, registry=registry, store=store, access=access)


def test_a_sampler_that_raises_leaves_the_scores_of_the_others(registry, store, access) -> None:
    Broken.parts = {"sampler"}
    both = (Part(name="plain"), Part(name="dimmed", settings={"by": 0.5}))
    spec = replace(SPEC, samplers=both)
    done = run(spec, registry=registry, store=store, access=access)
    assert done.status is Status.FINISHED
    assert {score.sampler for score in store.scores(done.id)} == {"plain"}
    reason = "sampler 'dimmed' (genbench-own 1.2) raised RuntimeError: sampler is broken"
    assert skipped(store, done.id) == {"grey": reason, "fd_pixel": reason}
    Broken.parts = set()
    records = evaluate_run(done.id, registry=registry, store=store, access=access)
    assert [(r.sampler, sorted(r.computed)) for r in records] == [("dimmed", ["fd_pixel", "grey"])]
    assert skipped(store, done.id) == {}


def test_sample_names_the_sampler_that_raises(registry, store, access, tmp_path) -> None:
    done = run(replace(SPEC, metrics=()), registry=registry, store=store, access=access)
    Broken.parts = {"sampler"}
    work = {"registry": registry, "store": store, "access": access, "out": tmp_path / "x.png"}
    with pytest.raises(PluginError, match=r"sampler 'dimmed' \(genbench-own 1.2\) raised Runtime"):
        sample_run(done.id, sampler=Part(name="dimmed", settings={"by": 0.5}), **work)


def test_a_constructor_that_raises_is_said_before_the_training(registry, store, access) -> None:
    Broken.parts = {"constructor"}
    with pytest.raises(PluginError, match=r"metric 'grey' \(genbench-own 1.2\) raised"):
        run(SPEC, registry=registry, store=store, access=access)
    assert not store.runs()


def test_a_constructor_that_raises_later_skips_its_metric(registry, store, access) -> None:
    done = run(SPEC, registry=registry, store=store, access=access)
    Broken.parts = {"constructor"}
    [record] = evaluate_run(done.id, registry=registry, store=store, access=access)
    assert "raised RuntimeError: constructor is broken" in record.skipped["grey"]
    assert record.computed == ("fd_pixel",)


def test_a_picture_that_raises_is_a_warning(registry, store, access) -> None:
    Broken.parts = {"generate"}
    done = run(SPEC, registry=registry, store=store, access=access)
    assert done.status is Status.FINISHED
    [warning] = store.warnings(done.id)
    assert warning.message == (
        "the picture of samples is skipped: model 'painter' (genbench-own 1.2) raised "
        "RuntimeError: generate is broken"
    )


def test_a_watch_metric_that_raises_is_left_out_with_one_warning(
    registry, store, access, monkeypatch
) -> None:
    monkeypatch.setattr("genbench.health.monitor.IMAGES", 6_000)
    Broken.parts = {"metric"}
    spec = replace(SPEC, watch=True, epochs=12, metrics=())
    done = run(spec, registry=registry, store=store, access=access)
    assert done.status is Status.FINISHED
    told = [w.message for w in store.warnings(done.id) if w.kind == "watch"]
    assert len(told) == 1
    assert told[0].startswith("the monitor continues without grey: metric 'grey' (genbench-own")
    assert len(store.series(done.id, "watch/spread")) > 1


def test_the_same_sampler_stands_twice_with_other_settings(registry, store, access) -> None:
    twice = tuple(Part(name="dimmed", settings={"by": by}) for by in (0.0, 1.0))
    spec = replace(SPEC, samplers=twice, metrics=SPEC.metrics[:1])
    done = run(spec, registry=registry, store=store, access=access)
    grey = {s.sampler_settings["by"]: s.value for s in store.scores(done.id)}
    assert grey[0.0] == 128
    assert grey[1.0] != 128
