"""The laws of draws: real samples as h, scores over several draws, samplers that give up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from tiny import CPU, SHAPE, Seen, Tiny, evaluated, plain, tiny_data
from torch import Tensor

from genbench.contracts import Data, Picture, SampleContext
from genbench.errors import SamplingError
from genbench.evaluation import evaluation_seed, sample_context
from genbench.evaluation.repeats import repeat_seeds
from genbench.pixels import to_uint8
from genbench.spec import Part


@pytest.fixture
def data() -> Data:
    return tiny_data()


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
    (alone,) = evaluated(Tiny(), data, {"seen": Seen()})
    [record] = evaluated(Tiny(), data, {"seen": Seen()}, repeats=4)
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
    given_up, drawn = evaluated(Tiny(), data, {"seen": Seen()}, samplers=samplers)
    assert given_up.skipped == {"seen": "nothing was accepted in 100 proposals; lower gamma"}
    assert given_up.diagnostics == {"acceptance": 0.0}
    assert not given_up.scores
    assert len(drawn.scores) == 1


def test_pictures_of_a_metric_come_with_its_record(data: Data) -> None:
    class Shows(Seen):
        def pictures(self) -> Mapping[str, Picture]:
            return {"first": Picture(images=self.batches[0][:4], columns=2)}

    [record] = evaluated(Tiny(), data, {"shows": Shows()})
    assert record.pictures["first"].images.shape == (4, *SHAPE)


def _one_draw(data: Data, seed: int) -> float:
    context = _context(Tiny(), data, seed)
    drawn = plain().draw(Tiny(), len(data.test.x), context)
    return float(torch.cat([to_uint8(x) for x in drawn]).float().mean())
