"""The laws of draws: real samples as h, scores over several draws, samplers that give up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genbench.contracts import Data, DataSpec, MetricContext, Picture, SampleContext, Score, Split
from genbench.errors import SamplingError
from genbench.evaluation import evaluate, evaluation_seed, sample_context
from genbench.evaluation.repeats import repeat_seeds
from genbench.pixels import to_uint8
from genbench.registry import Registry
from genbench.spec import Part

CPU = torch.device("cpu")
SHAPE = (1, 6, 6)


class Tiny(nn.Module):
    """A generator of 6x6 images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(4, 36)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 4, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(self.net(z)).view(-1, *SHAPE)

    def render(self, h: Tensor) -> Tensor:
        return h


class Seen:
    """A metric that keeps what it saw; its score is the mean."""

    uses = "samples"
    requires: tuple[str, ...] = ()

    def begin(self, context: MetricContext) -> None:
        self.batches = list[Tensor]()

    def update(self, images: Tensor) -> None:
        self.batches.append(images)

    def result(self) -> Sequence[Score]:
        images = torch.cat(self.batches)
        return [Score(metric="seen", value=float(images.float().mean()), n=len(images))]


@pytest.fixture
def data() -> Data:
    order = np.random.default_rng(0)

    def split(n: int) -> Split:
        x = order.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
        return Split(x=x, y=np.arange(n) % 3, digest=f"{n} images")

    spec = DataSpec(name="tiny", shape=SHAPE, classes=3)
    return Data(spec=spec, train=split(90), test=split(60))


def plain() -> Any:
    return Registry.from_environment().target("sampler", "plain")()


def _evaluate(model: Any, data: Data, metrics: dict[str, Any], **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "samplers": [(Part(name="plain"), plain())],
        "device": CPU,
        "n": None,
        "seed": 0,
        "cache": Path("unused"),
        "offline": True,
        "epoch": 3,
        "stage": "train",
        "batch_size": 25,
        **changes,
    }
    parts = [(Part(name=name), metric) for name, metric in metrics.items()]
    return list(evaluate(model, data, metrics=parts, **arguments))


class Codes(Tiny):
    """Its discriminator judges codes of four numbers."""

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :4]


def _context(model: Any, data: Data, seed: int = 0) -> SampleContext:
    return sample_context(model, data, device=CPU, seed=seed, batch_size=25)


def test_real_samples_reach_a_sampler_as_what_the_discriminator_judges(data: Data) -> None:
    itself, codes = _context(Tiny(), data), _context(Codes(), data)
    assert itself.real is not None
    assert codes.real is not None
    images = torch.cat(list(itself.real(20)))
    assert torch.equal(torch.cat(list(codes.real(20))), images.flatten(1)[:, :4])


def test_training_samples_are_random_ones_of_the_training_split_alone(data: Data) -> None:
    known = {row.tobytes() for row in data.train.x}
    drawn = []
    for seed in (1, 1, 2):
        context = _context(Tiny(), data, seed)
        assert context.training is not None
        drawn.append(torch.cat(list(context.training(50))))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert len(drawn[0]) == 50
    assert {row.numpy().tobytes() for row in to_uint8(drawn[0])} <= known


def test_training_samples_are_augmented_as_in_training_and_held_out_ones_are_not(
    data: Data,
) -> None:
    context = _context(Tiny(), replace(data, augment=lambda x: x * 0 + 0.5))
    assert context.training is not None
    assert context.real is not None
    assert all((x == 0.5).all() for x in context.training(30))
    assert not any((x == 0.5).any() for x in context.real(30))


def test_a_score_over_several_draws_is_their_mean_and_deviation(data: Data) -> None:
    (alone,) = _evaluate(Tiny(), data, {"seen": Seen()})
    [record] = _evaluate(Tiny(), data, {"seen": Seen()}, repeats=4)
    [score] = record.scores
    assert score.draws == 4
    assert score.n == len(data.test.x)
    assert score.std is not None
    assert score.std > 0
    # The first draw is the one that a single draw is.
    values = [_one_draw(data, own) for own in repeat_seeds(evaluation_seed(0), 4)]
    assert values[0] == alone.scores[0].value
    assert score.value == pytest.approx(fmean(values))
    assert score.std == pytest.approx(stdev(values))


def test_a_sampler_that_gives_up_loses_no_other_samplers_scores(data: Data) -> None:
    class GivesUp:
        requires = ()

        def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
            yield from plain().draw(model, 3, context)
            raise SamplingError("nothing was accepted in 100 proposals; lower gamma")

        def diagnostics(self) -> Mapping[str, float]:
            return {"acceptance": 0.0}

    samplers = [(Part(name="drs"), GivesUp()), (Part(name="plain"), plain())]
    given_up, drawn = _evaluate(Tiny(), data, {"seen": Seen()}, samplers=samplers)
    assert given_up.skipped == {"seen": "nothing was accepted in 100 proposals; lower gamma"}
    assert given_up.diagnostics == {"acceptance": 0.0}
    assert not given_up.scores
    assert len(drawn.scores) == 1


def test_pictures_of_a_metric_come_with_its_record(data: Data) -> None:
    class Shows(Seen):
        def pictures(self) -> Mapping[str, Picture]:
            return {"first": Picture(images=self.batches[0][:4], columns=2)}

    [record] = _evaluate(Tiny(), data, {"shows": Shows()})
    assert record.pictures["first"].images.shape == (4, *SHAPE)


def _one_draw(data: Data, seed: int) -> float:
    context = _context(Tiny(), data, seed)
    drawn = plain().draw(Tiny(), len(data.test.x), context)
    return float(torch.cat([to_uint8(x) for x in drawn]).float().mean())
