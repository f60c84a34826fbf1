"""The laws of evaluation: one draw for all metrics, one seed one result, steady memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SHAPE, Seen, Tiny, evaluated, plain, tiny_data
from torch import Tensor, nn

from genbench.contracts import Data, DataSpec, MetricContext, SampleContext, Score, Split
from genbench.errors import DataError, IncompatibleError, InterruptedRunError
from genbench.evaluation import check_fit, default_n, evaluation_seed
from genbench.spec import Part


class TinyConditional(Tiny):
    """Paints its label as grey."""

    classes = 3

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return (y.float() / 2 * 2 - 1).view(-1, 1, 1, 1).expand(-1, *SHAPE)


class Noisy(Tiny):
    """Draws from the global generator, as a model with noise in its layers does."""

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        noise = 0.1 * torch.randn(len(z), *SHAPE)
        return (super().generate(z) + noise).clamp(-1, 1)


class OfModel:
    """A metric of the model itself."""

    uses = "model"
    requires = ("reconstructs",)

    def begin(self, context: MetricContext) -> None:
        self.model = context.model

    def update(self, images: Tensor) -> None:
        raise AssertionError("a model metric gets no samples")

    def result(self) -> Sequence[Score]:
        return [Score(metric="weight", value=float(self.model.net.weight.sum()), n=1)]


class Unready(Seen):
    """A metric with a reference that can't be had."""

    def begin(self, context: MetricContext) -> None:
        raise DataError("no weights at PATH; give them by --set")


class Uphill:
    """A sampler that needs gradients, and calls itself after its last draw."""

    requires = ("generates", "discriminates")

    def __init__(self, *, extra: int = 0) -> None:
        self.extra, self.drawn = extra, 0

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        z = model.prior(n + self.extra, context.generator).requires_grad_()
        h = model.generate(z)
        (slope,) = torch.autograd.grad(model.discriminate(h).sum(), z)
        self.drawn = n
        yield model.render(model.generate(z + 0.1 * slope))

    def diagnostics(self) -> Mapping[str, float]:
        return {"drawn": float(self.drawn)}


class Judged(Tiny):
    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        return h.flatten(1).sum(1)


@pytest.fixture
def data() -> Data:
    return tiny_data()


def test_one_draw_feeds_all_metrics_as_uint8_minibatches(data: Data) -> None:
    first, second = Seen(), Seen()
    (record,) = evaluated(Tiny(), data, {"first": first, "second": second})
    assert [len(batch) for batch in first.batches] == [25, 25, 10]
    assert first.images.dtype == torch.uint8
    assert all(a is b for a, b in zip(first.batches, second.batches, strict=True))
    assert (record.epoch, record.stage, record.sampler) == (3, "train", "plain")
    assert set(record.seconds) == {"sampling", "first", "second"}
    assert all(seconds > 0 for seconds in record.seconds.values())


def test_same_seed_draws_the_same_samples_and_another_seed_others(data: Data) -> None:
    seen = [Seen() for _ in range(3)]
    for metric, seed in zip(seen, (1, 1, 2), strict=True):
        evaluated(Noisy(), data, {"seen": metric}, seed=seed)
    assert torch.equal(seen[0].images, seen[1].images)
    assert not torch.equal(seen[0].images, seen[2].images)


def test_samples_do_not_depend_on_what_metrics_draw_nor_on_the_random_state(data: Data) -> None:
    alone, beside = Seen(), Seen(draws_at_begin=7)
    evaluated(Noisy(), data, {"seen": alone})
    torch.manual_seed(99)
    evaluated(Noisy(), data, {"seen": beside})
    assert torch.equal(alone.images, beside.images)


def test_evaluation_leaves_the_random_numbers_of_the_run_alone(data: Data) -> None:
    model = Noisy()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    evaluated(model, data, {"seen": Seen(draws_at_begin=3)})
    assert torch.equal(torch.rand(3), expected)


def test_the_draw_has_its_own_seed_derived_from_the_runs() -> None:
    seeds = {evaluation_seed(seed) for seed in range(100)}
    assert len(seeds) == 100
    assert not seeds & set(range(100))
    assert evaluation_seed(0) == evaluation_seed(0)


def test_n_defaults_to_the_test_split_and_at_most_10000(data: Data) -> None:
    seen = Seen()
    evaluated(Tiny(), data, {"seen": seen})
    assert len(seen.images) == seen.context.n == default_n(data) == 60
    large = Split(x=np.broadcast_to(data.test.x[:1], (20_000, *SHAPE)), y=None, digest="large")
    assert default_n(Data(spec=data.spec, train=data.train, test=large)) == 10_000


def test_a_metric_without_its_reference_is_skipped_and_the_others_are_taken(data: Data) -> None:
    (record,) = evaluated(Tiny(), data, {"unready": Unready(), "seen": Seen()})
    assert record.skipped == {"unready": "no weights at PATH; give them by --set"}
    assert [score.metric for score in record.scores] == ["seen"]


def test_nothing_is_drawn_where_no_metric_is_ready(data: Data) -> None:
    sampler = Uphill()
    arguments = {"samplers": [(Part(name="uphill"), sampler)]}
    (record,) = evaluated(Judged(), data, {"unready": Unready()}, **arguments)
    assert sampler.drawn == 0
    assert record.scores == ()


def test_scores_of_the_model_itself_stand_in_a_record_of_their_own(data: Data) -> None:
    samples, itself = evaluated(Tiny(), data, {"model": OfModel(), "seen": Seen()})
    assert [score.metric for score in samples.scores] == ["seen"]
    assert [score.metric for score in itself.scores] == ["weight"]
    assert itself.sampler == ""
    assert "sampling" not in itself.seconds


@pytest.mark.parametrize("gradients", [True, False])
def test_a_sampler_may_use_gradients_whatever_the_caller_does(data: Data, gradients: bool) -> None:
    with torch.set_grad_enabled(gradients):
        seen = Seen()
        arguments = {"samplers": [(Part(name="uphill"), Uphill())]}
        (record,) = evaluated(Judged(), data, {"seen": seen}, **arguments)
        assert torch.is_grad_enabled() == gradients
    assert len(seen.images) == 60
    assert not seen.images.requires_grad
    assert record.diagnostics["drawn"] == 60.0


def test_each_sampler_gets_its_own_record_and_the_same_noise(data: Data) -> None:
    seen = Seen()
    arguments = {"samplers": [(Part(name="plain"), plain()), (Part(name="again"), plain())]}
    first, second = evaluated(Tiny(), data, {"seen": seen}, **arguments)
    assert (first.sampler, second.sampler) == ("plain", "again")
    assert first.scores == second.scores


def test_samples_that_are_not_finite_are_said_and_not_scored(data: Data) -> None:
    model = Tiny()
    with torch.no_grad():
        model.net.weight[0, 0] = torch.nan
    (record,) = evaluated(model, data, {"seen": Seen()})
    assert record.scores == ()
    assert "'plain' are not finite" in record.skipped["seen"]


def test_a_sampler_that_yields_another_number_is_named(data: Data) -> None:
    arguments = {"samplers": [(Part(name="uphill"), Uphill(extra=1))]}
    (record,) = evaluated(Judged(), data, {"seen": Seen()}, **arguments)
    assert record.scores == ()
    assert record.skipped["seen"] == "sampler 'uphill' yielded 61 samples instead of 60"


def test_an_interruption_passes_through(data: Data) -> None:
    class Interrupted(Seen):
        def update(self, images: Tensor) -> None:
            raise InterruptedRunError("stopped")

    with pytest.raises(InterruptedRunError):
        evaluated(Tiny(), data, {"seen": Interrupted()})


def test_a_conditional_model_gets_labels_as_frequent_as_in_training(data: Data) -> None:
    y = np.array([0] * 60 + [2] * 30)
    train = Split(x=data.train.x, y=y, digest="uneven")
    seen = Seen()
    uneven = Data(spec=data.spec, train=train, test=data.test)
    evaluated(TinyConditional(), uneven, {"seen": seen}, n=600)
    grey = seen.images[:, 0, 0, 0]
    assert set(grey.tolist()) == {0, 255}
    assert float((grey == 0).float().mean()) == pytest.approx(2 / 3, abs=0.06)


def test_samples_of_a_latent_space_are_rendered(data: Data) -> None:
    latents = Split(x=np.zeros((30, *SHAPE), np.float32), y=None, digest="z")
    rendered = Data(
        spec=DataSpec(name="latents", shape=SHAPE, latent=True),
        train=latents,
        test=latents,
        render=lambda z: torch.ones(len(z), 3, 8, 8),
    )
    seen = Seen()
    evaluated(Tiny(), rendered, {"seen": seen})
    assert seen.images.shape == (30, 3, 8, 8)
    assert int(seen.images.min()) == 255


def test_a_sampler_gets_held_out_real_samples_in_the_models_range(data: Data) -> None:
    class Copies:
        requires = ()

        def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
            assert context.real is not None
            yield from context.real(n)

        def diagnostics(self) -> Mapping[str, float]:
            return {}

    seen = Seen()
    arguments = {"samplers": [(Part(name="copies"), Copies())]}
    evaluated(Tiny(), data, {"seen": seen}, **arguments)
    assert torch.equal(seen.images, torch.from_numpy(data.test.x))


def test_a_sampler_that_does_not_fit_is_refused_in_one_sentence() -> None:
    samplers = [(Part(name="drs"), Uphill())]
    with pytest.raises(IncompatibleError) as error:
        check_fit(Tiny(), samplers, [], name="vae")
    assert str(error.value) == "sampler 'drs' needs a model that discriminates; 'vae' does not"
    check_fit(Judged(), samplers, [(Part(name="weight"), OfModel())])


def test_a_metric_that_does_not_fit_is_refused_in_one_sentence() -> None:
    with pytest.raises(IncompatibleError, match="metric 'r' needs a model that reconstructs"):
        check_fit(nn.Linear(1, 1), [], [(Part(name="r"), OfModel())])


def test_registering_the_plugins_imports_no_torch() -> None:
    code = (
        "import sys, genbench_metrics, genbench_samplers, genbench_metrics.metric_settings, "
        "genbench_samplers.sampler_settings; "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


MEMORY = """
import resource, sys, numpy as np, torch
from pathlib import Path
from genbench.contracts import Data, DataSpec, Split
from genbench.evaluation import evaluate
from genbench.registry import Registry
from genbench.spec import Part
torch.set_num_threads(1)
shape = (1, 64, 64)
class Model:
    def prior(self, n, generator=None): return torch.randn(n, *shape, generator=generator)
    def generate(self, z, y=None): return z
    def render(self, h): return h
x = np.random.default_rng(0).integers(0, 256, (200, *shape), dtype=np.uint8)
split = Split(x=x, y=None, digest="x")
data = Data(spec=DataSpec(name="d", shape=shape), train=split, test=split)
registry = Registry.from_environment()
def run(n):
    sampler = registry.target("sampler", "plain")()
    list(evaluate(Model(), data, samplers=[(Part(name="plain"), sampler)],
        metrics=[(Part(name="fd_pixel"), registry.target("metric", "fd_pixel")())],
        device=torch.device("cpu"), n=n, seed=0, cache=Path(sys.argv[1]), offline=True, epoch=1,
        stage="s", batch_size=100))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
few = run(200)
print(run(6000) - few)
"""


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    told = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], check=True, capture_output=True, text=True
    )
    # 6,000 of these samples are 94 MiB as float32, 47 MiB as float64 features of 1,024.
    # The allocator alone may take 8, 16 or 32.
    assert float(told.stdout) < 40
