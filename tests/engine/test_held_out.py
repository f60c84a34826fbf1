"""The validation split: held out of the training by the content of each sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genbench.contracts import HELD_OUT, Data, DataSpec, Split
from genbench.engine.held_out import is_held_out, scored_on
from genbench.errors import DataError, IncompatibleError

N = 3_000


def data(x: np.ndarray, y: np.ndarray | None = None) -> Data:
    spec = DataSpec(name="noise", shape=x.shape[1:], train=len(x), test=2)
    return Data(
        spec=spec, train=Split(x=x, y=y, digest="a"), test=Split(x=x[:2], y=None, digest="b")
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, 1, 4, 4), dtype=np.uint8)


def test_the_split_is_decided_by_content_alone_so_order_and_company_change_nothing(images) -> None:
    out = is_held_out(images)
    order = np.random.default_rng(1).permutation(N)
    assert (is_held_out(images[order]) == out[order]).all()
    assert (is_held_out(images[::7]) == out[::7]).all()
    assert (is_held_out(np.concatenate([images, images])) == np.concatenate([out, out])).all()


def test_the_held_out_share_is_the_stated_one_within_its_sampling_error(images) -> None:
    error = np.sqrt(HELD_OUT * (1 - HELD_OUT) / N)
    assert abs(is_held_out(images).mean() - HELD_OUT) < 4 * error


def test_every_sample_is_on_exactly_one_side_with_its_label(images) -> None:
    found = scored_on(data(images, np.arange(N)), "validation", "data")
    assert found.scored_on == "validation"
    both = np.concatenate([found.train.y, found.test.y])
    assert sorted(both) == list(range(N))
    assert (images[found.test.y] == found.test.x).all()
    assert (images[found.train.y] == found.train.x).all()
    assert found.train.digest != found.test.digest != "b"
    again = scored_on(data(images, np.arange(N)), "search", "data")
    assert again.test.digest == found.test.digest


def test_a_sample_that_occurs_twice_is_never_on_both_sides(images) -> None:
    found = scored_on(data(np.repeat(images, 2, axis=0)), "validation", "data")
    trained = {one.tobytes() for one in found.train.x}
    assert not trained & {one.tobytes() for one in found.test.x}


def test_the_test_split_is_left_as_it_is(images) -> None:
    given = data(images)
    assert scored_on(given, "test", "data") == given


def test_too_few_samples_to_hold_out_is_one_sentence(images) -> None:
    kept = images[~is_held_out(images)][:5]
    with pytest.raises(
        DataError, match="has 5 training samples, and --scored-on validation would hold out 0"
    ):
        scored_on(data(kept), "validation", "data set 'few'")


def test_latents_are_split_as_the_run_that_made_them_and_never_otherwise(images) -> None:
    whole, split = data(images), scored_on(data(images), "validation", "data")
    codes = np.zeros((N, 2), np.float32)
    latents = replace(data(codes), source=split)
    assert scored_on(latents, "search", "latents").train is latents.train
    with pytest.raises(IncompatibleError, match="held samples out for validation; add --scored-on"):
        scored_on(latents, "test", "latents")
    with pytest.raises(IncompatibleError, match="was trained on the samples that --scored-on"):
        scored_on(replace(latents, source=whole), "validation", "latents")
