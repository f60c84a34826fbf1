"""What a plugin's sampler or metric raises is noted, and the other scores are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.contracts import Data, DataSpec, MetricContext, Picture, SampleContext, Score, Split
from genbench.errors import InterruptedRunError
from genbench.evaluation import evaluate
from genbench.events import Evaluated
from genbench.spec import Part

SHAPE = (1, 4, 4)


class Uniform:
    """Generates noise in [-1, 1]."""

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(n, *SHAPE, generator=generator) * 2 - 1


class Sampler:
    """Draws the noise, changed by ``change``; ``fails`` names the method that raises."""

    requires: tuple[str, ...] = ()

    def __init__(self, change: Callable[[Tensor], Any] | None = None, fails: str = "") -> None:
        self.change, self.fails = change, fails

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Any]:
        for start in range(0, n, context.batch_size):
            x = model.prior(min(context.batch_size, n - start), context.generator)
            yield x if self.change is None else self.change(x)
            if self.fails == "draw":
                raise ZeroDivisionError("after the first minibatch")

    def diagnostics(self) -> Mapping[str, float]:
        if self.fails == "diagnostics":
            raise KeyError("acceptance")
        return {"acceptance": 0.5}


class Metric:
    """The mean of the samples; ``fails`` names the method that raises ``error``."""

    uses = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.fails, self.error = fails, error or ValueError("a fault\nof two lines")

    def begin(self, context: MetricContext) -> None:
        self.sum, self.n = 0.0, 0
        self._perhaps("begin")

    def update(self, images: Tensor) -> None:
        self.sum, self.n = self.sum + float(images.float().sum()), self.n + len(images)
        self._perhaps("update")

    def result(self) -> Sequence[Score]:
        self._perhaps("result")
        return [Score(metric="mean", value=self.sum / self.n, n=self.n, protocol={"v": 1})]

    def pictures(self) -> Mapping[str, Picture]:
        self._perhaps("pictures")
        return {"first": Picture(images=torch.zeros(1, 1, 4, 4, dtype=torch.uint8))}

    def _perhaps(self, where: str) -> None:
        if self.fails == where:
            raise self.error


class Returns(Metric):
    """Gives ``given`` as its result."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    def result(self) -> Any:
        return self.given


@pytest.fixture(scope="module")
def data() -> Data:
    x = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)
    split = Split(x=x, y=None, digest="noise")
    return Data(spec=DataSpec(name="noise", shape=SHAPE), train=split, test=split)


def scored(data: Data, metrics: Mapping[str, Any], sampler: Any = None) -> Evaluated:
    [record] = evaluate(
        Uniform(),
        data,
        samplers=[(Part(name="drawn"), sampler or Sampler())],
        metrics=[(Part(name=name), metric) for name, metric in metrics.items()],
        device=torch.device("cpu"),
        seed=0,
        cache=Path("/nowhere"),
        epoch=1,
        stage="train",
        batch_size=16,
        owner=lambda kind, name: "genbench-own 1.2",
    )
    return record


@pytest.mark.parametrize("method", ["begin", "update", "result"])
def test_a_metric_that_raises_is_skipped_with_name_owner_and_cause(data, method) -> None:
    record = scored(data, {"bad": Metric(method), "good": Metric()})
    assert record.skipped == {
        "bad": "metric 'bad' (genbench-own 1.2) raised ValueError: a fault of two lines"
    }
    assert "test_faulty_parts.py" in record.traces["bad"]
    assert [score.metric for score in record.scores] == ["mean"]
    assert record.computed == ("good",)
    assert record.scores == scored(data, {"good": Metric()}).scores


def test_a_metric_that_calls_exit_is_skipped_too(data) -> None:
    record = scored(data, {"bad": Metric("update", SystemExit(3)), "good": Metric()})
    assert "raised SystemExit: 3" in record.skipped["bad"]
    assert record.computed == ("good",)


def test_a_long_cause_is_cut_in_the_message_and_whole_in_the_traceback(data) -> None:
    record = scored(data, {"bad": Metric("result", ValueError("long " * 600))})
    assert len(record.skipped["bad"]) < 400
    assert record.skipped["bad"].endswith("... (see its traceback)")
    assert "long " * 600 in record.traces["bad"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedRunError("stop")])
def test_a_stop_passes_through(data, error) -> None:
    with pytest.raises(type(error)):
        scored(data, {"bad": Metric("update", error), "good": Metric()})


def test_a_picture_that_raises_leaves_its_scores(data) -> None:
    record = scored(data, {"bad": Metric("pictures"), "good": Metric()})
    assert [score.metric for score in record.scores] == ["mean", "mean"]
    assert list(record.pictures) == ["first"]
    assert (
        "the picture of metric 'bad' (genbench-own 1.2) raised"
        in (record.skipped["pictures of bad"])
    )


@pytest.mark.parametrize(
    "given",
    [
        None,
        [1.5],
        [Score(metric="x", value=torch.ones(2), n=1)],  # type: ignore[arg-type]
        [Score(metric="x", value=1.0, n=1, protocol={"a": object()})],
        [Score(metric="x", value=1.0, n=1, direction="up")],  # type: ignore[arg-type]
    ],
)
def test_a_result_that_is_no_score_is_skipped(data, given) -> None:
    record = scored(data, {"bad": Returns(given), "good": Metric()})
    assert "metric 'bad' (genbench-own 1.2)" in record.skipped["bad"]
    assert record.computed == ("good",)


def test_a_score_of_tensors_of_one_number_is_stored_as_numbers(data) -> None:
    one = Score(metric="x", value=torch.tensor(1.5), n=1, protocol={})  # type: ignore[arg-type]
    [score] = scored(data, {"tensor": Returns([one])}).scores
    assert type(score.value) is float


def test_a_sampler_that_raises_skips_all_its_metrics(data) -> None:
    record = scored(data, {"mean": Metric()}, Sampler(fails="draw"))
    assert record.scores == ()
    assert record.skipped["mean"] == (
        "sampler 'drawn' (genbench-own 1.2) raised ZeroDivisionError: after the first minibatch"
    )
    assert "measured_seconds_per_sample" not in record.diagnostics


def test_diagnostics_that_raise_leave_the_scores(data) -> None:
    record = scored(data, {"mean": Metric()}, Sampler(fails="diagnostics"))
    assert record.computed == ("mean",)
    assert "raised KeyError: 'acceptance'" in record.skipped["diagnostics"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x.flatten(1), r"yielded samples of shape (16, 16); expected float samples"),
        (lambda x: x[0], "yielded samples of shape (1, 4, 4)"),
        (lambda x: x.numpy(), "yielded a numpy.ndarray"),
        (lambda x: None, "yielded a NoneType"),
        (lambda x: (x * 127.5 + 127.5).to(torch.uint8), "yielded torch.uint8"),
        (lambda x: x * 127.5 + 127.5, "yielded values in ["),
        (lambda x: x[:-1], "yielded 37 samples instead of 40"),
        (lambda x: torch.cat((x, x)), "yielded 64 samples instead of 40"),
    ],
)
def test_samples_of_another_kind_are_refused_with_the_samplers_name(data, change, said) -> None:
    seen = Metric()
    record = scored(data, {"mean": seen}, Sampler(change))
    assert record.scores == ()
    assert record.skipped["mean"].startswith("sampler 'drawn' (genbench-own 1.2) ")
    assert said in record.skipped["mean"]
    if "instead of 40" not in said:
        assert seen.n == 0, "refused at the first minibatch"


def test_every_draw_has_seconds_a_sample_measured_in_one_way(data) -> None:
    for sampler in (Sampler(), genbench_plain()):
        record = scored(data, {"mean": Metric()}, sampler)
        measured = record.diagnostics["measured_seconds_per_sample"]
        assert measured == pytest.approx(record.seconds["sampling"] / 40)
        assert measured > 0


def genbench_plain() -> Any:
    class Plain(Sampler):
        def diagnostics(self) -> Mapping[str, float]:
            return {}

    return Plain()
