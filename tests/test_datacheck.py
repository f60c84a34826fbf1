"""What is loaded is what its spec says, and its digest names its content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import genbench
from genbench import (
    Data,
    DataAccess,
    DataSpec,
    MetricContext,
    PluginError,
    Settings,
    Split,
)
from genbench.engine import data_check
from genbench.engine.data_check import checked
from genbench.registry import Registry
from genbench.runner.build_parts import load_data
from genbench.spec import RunSpec
from genbench.testing.data import small_data
from genbench_data.split_cache import digest
from genbench_metrics.fd_pixel import FdPixel


def named(data: Data, name: str) -> Data:
    """The data under digests that somebody wrote by hand."""
    train, test = (replace(split, digest=name) for split in (data.train, data.test))
    return replace(data, train=train, test=test)


def changed(data: Data, **values) -> Data:
    return replace(data, train=replace(data.train, **values))


def with_value(x, place, value):
    x = np.array(x)
    x[place] = value
    return x


IMAGES, POINTS = small_data(), small_data((2,))
FAULTS = {
    "type": (changed(IMAGES, x=IMAGES.train.x.astype(np.float32)), r"float32 \(64, 1, 8, 8\); "),
    "shape": (changed(IMAGES, x=IMAGES.train.x[:, :, :4]), r"its spec says uint8 \(N, 1, 8, 8\)"),
    "no array": (changed(IMAGES, x=torch.zeros(64, 1, 8, 8)), "holds Tensor"),
    "number": (changed(IMAGES, x=IMAGES.train.x[:9], y=IMAGES.train.y[:9]), "9 samples; .* 64"),
    "none": (changed(replace(IMAGES, spec=replace(IMAGES.spec, train=0)), x=IMAGES.train.x[:0],
                     y=IMAGES.train.y[:0]), "holds 0 samples"),
    "nan": (changed(POINTS, x=with_value(POINTS.train.x, (3, 1), np.nan)), "not finite"),
    "inf": (changed(POINTS, x=with_value(POINTS.train.x, (63, 0), np.inf)), "not finite"),
    "no labels": (changed(IMAGES, y=None), "no labels, though its spec names 4"),
    "type of labels": (changed(IMAGES, y=IMAGES.train.y.astype(np.int32)), "labels of int32"),
    "number of labels": (changed(IMAGES, y=IMAGES.train.y[:-1]), r"expected int64 \(64,\)"),
    "label": (changed(IMAGES, y=with_value(IMAGES.train.y, 5, 4)), "from 0 to 4; .* 4 classes"),
    "negative label": (changed(IMAGES, y=with_value(IMAGES.train.y, 5, -1)), "labels from -1"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "sentence"), FAULTS.values(), ids=FAULTS)
def test_data_that_belie_their_spec_are_refused_by_name(data, sentence) -> None:
    with pytest.raises(PluginError, match=f"data set 'mine': its train split .*{sentence}"):
        checked(data, "data set 'mine'")


@pytest.mark.parametrize("whole", [data_check.WHOLE, 0])
@pytest.mark.parametrize("data", [IMAGES, POINTS], ids=["images", "points"])
def test_two_data_sets_under_one_digest_are_told_apart(monkeypatch, data, whole) -> None:
    monkeypatch.setattr(data_check, "WHOLE", whole)
    own = checked(named(data, "v1"), "mine")
    again = checked(named(data, "v1"), "mine")
    assert own.train.digest == again.train.digest != own.test.digest
    for place in (0, 63):
        flipped = with_value(data.train.x, place, data.train.x[place] // 2)
        assert checked(changed(named(data, "v1"), x=flipped), "").train.digest != own.train.digest
    relabelled = with_value(data.train.y, 7, 0)
    assert checked(changed(named(data, "v1"), y=relabelled), "").train.digest != own.train.digest
    assert checked(named(data, "v2"), "mine").train.digest != own.train.digest


def test_a_digest_that_is_a_hash_of_the_content_stays() -> None:
    train, test = (replace(s, digest=digest(s.x, s.y)) for s in (IMAGES.train, IMAGES.test))
    found = checked(replace(IMAGES, train=train, test=test), "mine")
    assert (found.train.digest, found.test.digest) == (train.digest, test.digest)


class Dim:
    """A data set under a digest that was written by hand."""

    level = 40

    def __init__(self, settings: Settings) -> None:
        pass

    def load(self, access: DataAccess) -> Data:
        x = np.random.default_rng(0).integers(0, self.level, (60, 1, 4, 4), np.uint8)
        train, test = (Split(x=part, y=None, digest="mine") for part in (x[:30], x[30:]))
        return Data(spec=DataSpec(name="dim", shape=(1, 4, 4)), train=train, test=test)


class Bright(Dim):
    """Another one under the same digest."""

    level = 250


class Both:
    """The plugin that registers them."""

    @genbench.hookimpl
    def genbench_register_datasets(self, register: genbench.Register) -> None:
        for name in ("Dim", "Bright"):
            register(name.lower(), f"{__name__}:{name}", summary="noise")


def test_data_sets_of_one_digest_do_not_share_a_floor(tmp_path) -> None:
    registry = Registry()
    registry.add(Both(), strict=True)
    access = DataAccess(root=tmp_path, cache=tmp_path, offline=True)
    floors = []
    for name in ("dim", "bright"):
        spec = RunSpec(model="any", dataset=name, epochs=1, batch_size=1)
        data = load_data(spec, registry, access)
        metric = FdPixel()
        metric.begin(
            MetricContext(data=data, model=None, device=torch.device("cpu"), cache=tmp_path, n=20)
        )
        metric.update(torch.from_numpy(np.array(data.test.x[:20])))
        floors.append(metric.result()[0].floor)
    assert floors[1] > 5 * floors[0]
