"""Laws: augment sees training minibatches alone; `fit_buffers` sees the data as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from genbench.contracts import Batch, Optimizer, Phase, Stage
from genbench.engine.restoring import read_checkpoint
from genbench.errors import InterruptedRunError, PluginError
from genbench.events import EpochDone
from genbench.pixels import to_float


class Watched:
    """One linear layer; remembers what training, validation and encoding see."""

    averaged = ()

    def __init__(self, *, encodes: bool = False) -> None:
        self.nets = nn.ModuleDict({"net": nn.Linear(16, 16)})
        self.encodes = encodes
        self.trained: list[Tensor] = []
        self.validated: list[Tensor] = []
        self.encoded: list[Tensor] = []

    def optimizers(self) -> dict[str, Optimizer]:
        return {"net": Optimizer(nets=("net",), lr=1e-2)}

    def stages(self) -> tuple[Stage, ...]:
        phase = Phase(name="fit", loss=self.loss, updates=("net",), repeat=2)
        prepare = self.prepare if self.encodes else None
        return (Stage(name="fit", phases=(phase,), prepare=prepare, validate=self.validate),)

    def loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        self.trained.append(batch.x.clone())
        x = batch.x.flatten(1)
        return {"net": {"mse": (self.nets["net"](x) - x).square().mean()}}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        self.validated.append(batch.x.clone())
        return {"mean": batch.x.mean()}

    def prepare(self, x: Tensor, generator: torch.Generator) -> Tensor:
        self.encoded.append(x.clone())
        return 2 * x


def redraw(x: Tensor) -> Tensor:
    """Black and white draws of grey images, as dynamic binarisation has them."""
    assert x.abs().max() <= 1
    return torch.bernoulli((x + 1) / 2) * 2 - 1


def is_black_or_white(x: Tensor) -> bool:
    return bool((x.abs() == 1).all())


@pytest.fixture
def augmented(tiny):
    return replace(tiny.data(), augment=redraw)


def test_every_training_minibatch_is_augmented_and_no_test_image_is(tiny, tmp_path, augmented):
    model = tiny.run(Watched, tiny.spec(), tmp_path, data=augmented).model
    assert len(model.trained) == 3 * 2 * 2
    assert all(is_black_or_white(x) for x in model.trained)
    assert not any(is_black_or_white(x) for x in model.validated)


def test_an_image_is_drawn_anew_in_each_epoch(tiny, tmp_path):
    data = replace(tiny.data(train_size=8), augment=redraw)
    model = tiny.run(Watched, tiny.spec(epochs=4), tmp_path, data=data).model
    whole = [x.flatten(1).sort(0).values for x in model.trained]
    assert len({tuple(x.flatten().tolist()) for x in whole}) > 1


def test_data_that_a_stage_encodes_once_is_not_augmented(tiny, tmp_path, augmented):
    model = tiny.run(lambda: Watched(encodes=True), tiny.spec(), tmp_path, data=augmented).model
    assert not any(is_black_or_white(x) for x in model.encoded)
    assert not any(is_black_or_white(x / 2) for x in model.trained)


def test_without_augment_training_sees_the_images_as_they_are(tiny, tmp_path):
    data = tiny.data()
    model = tiny.run(Watched, tiny.spec(), tmp_path, data=data).model
    known = {tuple(row) for row in data.train.x.reshape(len(data.train.x), -1).tolist()}
    seen = ((torch.cat(model.trained).flatten(1) + 1) * 127.5).round().int().tolist()
    assert {tuple(row) for row in seen} <= known


@pytest.mark.parametrize("stop_at", [1, 4, 7, 11])
def test_a_resumed_run_with_augment_ends_bitwise_where_an_unbroken_one_ends(
    tiny, tmp_path, augmented, stop_at
):
    spec, whole, broken = tiny.spec(ema=0.9, seed=3), tmp_path / "whole", tmp_path / "broken"
    unbroken = tiny.run(tiny.LatentGAN, spec, whole, data=augmented).log
    steps, log = 0, tiny.Log()

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == stop_at

    with pytest.raises(InterruptedRunError):
        tiny.run(tiny.LatentGAN, spec, broken, data=augmented, log=log, should_stop=stop)
    tiny.run(tiny.LatentGAN, spec, broken, data=augmented, log=log, resume=True)
    ends = [read_checkpoint(folder).weights for folder in (whole, broken)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert [e.losses for e in log.of(EpochDone)] == [e.losses for e in unbroken.of(EpochDone)]


def test_a_survey_sees_all_training_samples_as_they_are_before_the_first_step_and_on_resume(
    tiny, tmp_path, augmented
):
    class Surveyed(Watched):
        def stages(self) -> tuple[Stage, ...]:
            self.surveyed: list[Tensor] = []
            return tuple(replace(stage, fit_buffers=self.fit_buffers) for stage in super().stages())

        def fit_buffers(self, chunks) -> None:
            assert not self.trained
            self.surveyed += list(chunks)

    stops = iter([False, True])
    with pytest.raises(InterruptedRunError):
        tiny.run(Surveyed, tiny.spec(), tmp_path, data=augmented, should_stop=lambda: next(stops))
    model = tiny.run(Surveyed, tiny.spec(), tmp_path, data=augmented, resume=True).model
    seen = torch.cat(model.surveyed)
    assert torch.equal(seen, to_float(torch.from_numpy(augmented.train.x)))


def test_an_augment_that_changes_the_shape_is_named(tiny, tmp_path):
    data = replace(tiny.data(), augment=lambda x: x[:, :, :2])
    with pytest.raises(PluginError, match=r"augment turned .* must keep shape and type"):
        tiny.run(Watched, tiny.spec(), tmp_path, data=data)
