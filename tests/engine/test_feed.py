"""Laws of the order of the data and of the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genbench.contracts import Split
from genbench.engine import feed as feed_module
from genbench.engine.feed import Feed, Samples
from genbench.engine.randomness import cpu_generator
from genbench.pixels import to_float

CPU = torch.device("cpu")


def samples(n=23, **changes):
    """Image k is k everywhere, and its label is k."""
    x = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2), np.uint8)
    return Samples.of(Split(**{"x": x, "y": np.arange(n), "digest": "k", **changes}), CPU)


def epoch(feed, number):
    feed.start(number)
    return [[y.tolist() for _, y in feed.draw(k)] for k in range(feed.steps)]


def make(n=23, **changes):
    options = {"batch_size": 4, "width": 1, "seed": 0, "stage": 0, **changes}
    return Feed(samples(n), **options)


def test_order_is_a_function_of_seed_stage_and_epoch_alone():
    reference = epoch(make(), 3)
    torch.manual_seed(99)
    other = make()
    epoch(other, 0)
    assert epoch(other, 3) == reference
    for changed in (make(seed=1), make(stage=1)):
        assert epoch(changed, 3) != reference
    assert epoch(make(), 2) != reference


def test_the_order_of_an_epoch_is_the_same_in_every_version():
    """A run that an earlier version began is resumed with the order that it began with."""
    order = torch.randperm(23, generator=cpu_generator(7, "order", 1, 3))
    assert epoch(make(seed=7, stage=1), 3)[0] == [order[:4].tolist()] == [[1, 14, 15, 9]]


def test_each_sample_comes_once_an_epoch_but_for_the_short_rest():
    drawn = [y for batches in epoch(make(), 0) for batch in batches for y in batch]
    assert len(drawn) == len(set(drawn)) == 20


@pytest.mark.parametrize(
    ("n", "batch", "width", "steps", "size"),
    [(23, 4, 1, 5, 4), (23, 4, 2, 2, 4), (23, 4, 9, 1, 4), (3, 4, 1, 1, 3), (8, 8, 5, 1, 8)],
)
def test_all_batches_have_one_size_and_steps_are_whole(n, batch, width, steps, size):
    feed = make(n, batch_size=batch, width=width)
    batches = epoch(feed, 0)
    assert feed.steps == len(batches) == steps
    assert {len(b) for iteration in batches for b in iteration} == {size}
    assert all(len(iteration) == width for iteration in batches)
    assert feed.images == steps * width * size


def test_pixels_are_scaled_and_keep_their_label():
    feed = make()
    feed.start(0)
    ((x, y),) = feed.draw(0)
    assert x.dtype == torch.float32
    assert x.shape == (4, 1, 2, 2)
    assert torch.equal(x[:, 0, 0, 0], to_float(y.to(torch.uint8)))


def test_memory_map_that_does_not_fit_gives_the_same_batches(tmp_path, monkeypatch):
    held = samples()
    np.save(tmp_path / "x.npy", np.concatenate([x.numpy() for x in [held._x]]))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for limit in (0, 2**30):
        monkeypatch.setattr(feed_module, "HOST_LIMIT", limit)
        other = samples(x=mapped)
        assert isinstance(other._x, np.memmap) == (limit == 0)
        options = {"batch_size": 4, "width": 2, "seed": 0, "stage": 0}
        for a, b in ((Feed(held, **options), Feed(other, **options)),):
            a.start(1)
            b.start(1)
            for (xa, ya), (xb, yb) in zip(a.draw(0), b.draw(0), strict=True):
                assert torch.equal(xa, xb)
                assert torch.equal(ya, yb)
        for (xa, _), (xb, _) in zip(held.in_order(10), other.in_order(10), strict=True):
            assert torch.equal(xa, xb)


def test_a_split_may_be_a_read_only_view_of_another_array():
    x = samples()._x.numpy()[::-1, :, ::-1]
    x.flags.writeable = False
    for (given, _), (same, _) in zip(
        samples(x=x).in_order(10), samples(x=x.copy()).in_order(10), strict=True
    ):
        assert torch.equal(given, same)


def test_point_data_passes_as_it_is():
    points = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    ((x, y),) = samples(9, x=points, y=None).in_order(9)
    assert y is None
    assert np.array_equal(x.numpy(), points)


def test_in_order_gives_all_samples_the_short_rest_included():
    assert [len(x) for x, _ in samples().in_order(10)] == [10, 10, 3]


def test_an_epoch_may_go_through_some_of_the_samples_others_each_time():
    some = make(100, batch_size=10, limit=35)
    drawn = [{y for batches in epoch(some, k) for batch in batches for y in batch} for k in (0, 1)]
    assert (some.steps, some.images) == (3, 30)
    assert [len(labels) for labels in drawn] == [30, 30]
    assert drawn[0] != drawn[1]
