"""The contract kit: a sound part passes, and each law catches the part that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sound_parts import MeanDistance, Plain
from torch import nn

import genbench
from genbench import Batch, Data, Optimizer, Phase, Score, Split, Stage
from genbench.testing import (
    check_dataset,
    check_metric,
    check_model,
    check_plugin,
    check_sampler,
    small_data,
)


class Autoencoder:
    """Sound: a linear autoencoder with a frozen net that nobody trains."""

    averaged = ("decoder",)

    def __init__(self, settings: Any, data: genbench.DataSpec) -> None:
        self.shape, size = data.shape, prod(data.shape)
        self.nets = nn.ModuleDict(
            {
                "encoder": nn.Sequential(nn.Flatten(), nn.Linear(size, 4)),
                "decoder": nn.Sequential(nn.Linear(4, size), nn.Tanh()),
                "frozen": nn.Linear(2, 2),
            }
        )

    def optimizers(self):
        return {"auto": Optimizer(nets=("encoder", "decoder"), lr=1e-2)}

    def stages(self):
        return (Stage(name="train", phases=(self.phase(self.loss),)),)

    def phase(self, loss: Callable[[Batch], Any]) -> Phase:
        return Phase(name="auto", loss=loss, updates=("auto",))

    def loss(self, batch):
        return {"auto": {"mse": (self.reconstruct(batch.x) - batch.x).square().mean()}}

    def reconstruct(self, x, y=None):
        return self.nets["decoder"](self.nets["encoder"](x)).view(-1, *self.shape)


class LossRises(Autoencoder):
    def loss(self, batch):
        return {"auto": {"mse": super().loss(batch)["auto"]["mse"] + batch.step}}


class Unreached(Autoencoder):
    def optimizers(self):
        return {"auto": Optimizer(nets=("encoder", "decoder", "frozen"), lr=1e-2)}


class TwoOwners(Autoencoder):
    def optimizers(self):
        return {"auto": Optimizer(nets=("encoder", "decoder")), "b": Optimizer(nets=("decoder",))}


class StepsItself(Autoencoder):
    def loss(self, batch):
        with torch.no_grad():
            self.nets["frozen"].weight.mul_(0.9)
        return super().loss(batch)


class BackwardItself(Autoencoder):
    def loss(self, batch):
        super().loss(batch)["auto"]["mse"].backward()
        return super().loss(batch)


class Remembers(Autoencoder):
    """Keeps a number outside ``nets``: a checkpoint can't hold it."""

    def __init__(self, settings, data):
        super().__init__(settings, data)
        self.seen = 0

    def loss(self, batch):
        self.seen += 1
        terms = super().loss(batch)
        return {"auto": {"mse": terms["auto"]["mse"] * (1 + self.seen % 7)}}


class OutOfRange(Autoencoder):
    def reconstruct(self, x, y=None):
        return 3 * super().reconstruct(x)


class WrongShape(Autoencoder):
    def reconstruct(self, x, y=None):
        return super().reconstruct(x).flatten(1)

    def loss(self, batch):
        return {"auto": {"mse": (self.reconstruct(batch.x) - batch.x.flatten(1)).square().mean()}}


class NotReduced(Autoencoder):
    def loss(self, batch):
        return {"auto": {"mse": (self.reconstruct(batch.x) - batch.x).square()}}


class OtherPlayer(Autoencoder):
    def loss(self, batch):
        return {"critic": super().loss(batch)["auto"]}


def test_a_sound_model_passes():
    check_model(Autoencoder, capabilities=("reconstructs",))
    check_model(Autoencoder, data=small_data((2,)))


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (LossRises, "doesn't fall on 8 images"),
        (Unreached, "no step changed 'frozen"),
        (TwoOwners, "give each parameter one owner"),
        (StepsItself, "a loss changed the weights"),
        (BackwardItself, "a loss called backward"),
        (Remembers, "differ from an uninterrupted run"),
        (OutOfRange, r"outside \[-1, 1\]"),
        (WrongShape, "has shape"),
        (NotReduced, "must be 0-dim"),
        (OtherPlayer, "gives terms for"),
    ],
)
def test_each_law_catches_the_model_that_breaks_it(model, law):
    with pytest.raises(AssertionError, match=law):
        check_model(model)


@pytest.mark.parametrize(
    ("declared", "words"),
    [(("reconstructs", "encodes"), "lacks their methods"), ((), "declare them in register")],
)
def test_declared_capabilities_are_those_that_are_there(declared, words):
    with pytest.raises(AssertionError, match=words):
        check_model(Autoencoder, capabilities=declared)


# --- data -------------------------------------------------------------------------------------


def test_small_data_are_a_function_of_their_arguments_and_have_structure():
    one, again, other = small_data(), small_data(), small_data(seed=1)
    assert one.train.digest == again.train.digest != other.train.digest
    assert one.train.x.dtype == np.uint8
    assert one.train.x.shape == (64, 1, 8, 8)
    assert set(one.train.y) == {0, 1, 2, 3}
    points = small_data((2,), None)
    assert points.train.x.dtype == np.float32
    assert points.train.y is None
    radius = np.linalg.norm(points.train.x, axis=1)
    assert abs(radius - 0.7).max() < 0.3


class GratingSettings(genbench.DatasetSettings):
    def describe(self, access):
        return small_data().spec


class Gratings:
    def __init__(self, settings: Any) -> None:
        self.reads = 0

    def load(self, access: genbench.DataAccess) -> Data:
        return small_data()


class FloatGratings(Gratings):
    def load(self, access):
        data = small_data()
        train = Split(x=data.train.x / 255.0, y=data.train.y, digest="00")
        return Data(spec=data.spec, train=train, test=data.test)


class OtherSize(Gratings):
    def load(self, access):
        return small_data(train=32)


class EvenSettings(genbench.DatasetSettings):
    def describe(self, access):
        return small_data(train=32, test=32).spec


class Leaky(Gratings):
    def load(self, access):
        data = small_data(train=32, test=32)
        return Data(spec=data.spec, train=data.train, test=data.train)


class Random(Gratings):
    def load(self, access):
        return small_data(seed=np.random.default_rng().integers(1_000_000))


def test_a_sound_data_set_passes():
    check_dataset(Gratings, GratingSettings)


@pytest.mark.parametrize(
    ("dataset", "law"),
    [
        (FloatGratings, "expected uint8"),
        (OtherSize, "describe\\(\\) says train = 64, load\\(\\) gives 32"),
        (Random, "reading Random twice"),
    ],
)
def test_each_law_catches_the_data_set_that_breaks_it(dataset, law):
    with pytest.raises(AssertionError, match=law):
        check_dataset(dataset, GratingSettings)


def test_a_data_set_that_tests_on_its_training_split_is_caught():
    with pytest.raises(AssertionError, match="train and test are the same data"):
        check_dataset(Leaky, EvenSettings)


# --- samplers and metrics ---------------------------------------------------------------------


class TooMany(Plain):
    def draw(self, model, n, context):
        yield from super().draw(model, n + 1, context)


class GlobalNoise(Plain):
    def draw(self, model, n, context):
        yield model.render(model.generate(model.prior(n)))


class Loud(Plain):
    def draw(self, model, n, context):
        for x in super().draw(model, n, context):
            yield 2 * x


class Unknown(Plain):
    requires = ("levitates",)


def test_a_sound_sampler_passes():
    check_sampler(Plain)
    check_sampler("plain")


@pytest.mark.parametrize(
    ("sampler", "law"),
    [
        (TooMany, "asked for 1 samples, TooMany drew 2"),
        (GlobalNoise, "use context.generator alone"),
        (Loud, r"outside \[-1, 1\]"),
        (Unknown, "levitates"),
    ],
)
def test_each_law_catches_the_sampler_that_breaks_it(sampler, law):
    with pytest.raises(AssertionError, match=law):
        check_sampler(sampler)


class Backwards(MeanDistance):
    direction = "max"


class LastBatch(MeanDistance):
    def update(self, images):
        self.total, self.n = images.double().sum(0), len(images)


class NoProtocol(MeanDistance):
    def result(self):
        return (Score(metric="m", value=1.0, n=3),)


def test_a_sound_metric_passes():
    check_metric(MeanDistance)
    check_metric("fd_pixel")


@pytest.mark.parametrize(
    ("metric", "law"),
    [
        (Backwards, "direction is 'max'"),
        (LastBatch, "don't depend on the minibatches"),
        (NoProtocol, "has no protocol"),
    ],
)
def test_each_law_catches_the_metric_that_breaks_it(metric, law):
    with pytest.raises(AssertionError, match=law):
        check_metric(metric)


# --- whole plugins ----------------------------------------------------------------------------


def test_a_plugin_that_registers_nothing_or_wrongly_is_told_so():
    with pytest.raises(AssertionError, match="registers nothing"):
        check_plugin(ModuleType("empty"))
    broken = ModuleType("broken")
    broken.genbench_register_models = genbench.hookimpl(  # type: ignore[attr-defined]
        lambda register: register("m", "no_such_module:M")
    )
    with pytest.raises(AssertionError, match="can't be loaded from 'no_such_module:M'"):
        check_plugin(broken)
