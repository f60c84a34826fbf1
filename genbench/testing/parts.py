"""The laws of data sets and of metrics."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.contracts import (
    Data,
    DataAccess,
    DataSpec,
    MetricContext,
    Score,
    Split,
)
from genbench.pixels import as_float, to_uint8
from genbench.registration.capabilities import alternatives
from genbench.registry import Registry
from genbench.settings import DatasetSettings, Settings
from genbench.testing.data import small_data
from genbench.testing.devices import on_the_device
from genbench.testing.oracle import Oracle
from genbench.testing.pretended import CUDA, pretended_cuda
from genbench.testing.subject import Subject, subject

CPU = torch.device("cpu")
SAMPLES = 96


def check_dataset(
    dataset: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    access: DataAccess | None = None,
    registry: Registry | None = None,
) -> None:
    """Check that a data set is what its settings describe, and the same when read again.

    Without ``access`` there is an empty data folder and no download.
    """
    part = subject("dataset", dataset, settings, registry)
    assert isinstance(part.settings, DatasetSettings), (
        f"the settings of {part.name} must be a genbench.DatasetSettings"
    )
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        access = access or DataAccess(root=root, cache=cache, offline=True)
        described = part.settings.describe(access)
        data, again = (part.cls(part.settings).load(access) for _ in range(2))
        _is_described(data, described)
        for name in ("train", "test"):
            split: Split = getattr(data, name)
            _is_split(split, data.spec, name)
            other: Split = getattr(again, name)
            same = np.array_equal(split.x, other.x) and split.digest == other.digest
            assert same, f"reading {part.name} twice gives another {name} split or digest"
        assert data.train.digest != data.test.digest, "train and test are the same data"
        _check_device(part.name, data)


def _check_device(name: str, data: Data) -> None:
    """``augment`` and ``render`` compute where the samples are that they are given."""
    with pretended_cuda(), torch.no_grad():
        x = as_float(torch.from_numpy(np.array(data.train.x[:4])).to(CUDA))
        for what, function in (("augment", data.augment), ("render", data.render)):
            if function is not None:
                with on_the_device(f"{what}(x) of data set '{name}'"):
                    place = function(x).device
                    assert place == CUDA, f"{what}(x) of data set '{name}' gives x on {place}"


def _is_described(data: Data, described: DataSpec) -> None:
    for name in ("shape", "classes"):
        given, found = getattr(described, name), getattr(data.spec, name)
        assert given == found, f"describe() says {name} = {given}, load() gives {found}"
    for name in ("train", "test"):
        given, found = getattr(described, name), len(getattr(data, name).x)
        assert given in (0, found), f"describe() says {name} = {given}, load() gives {found}"


def _is_split(split: Split, spec: DataSpec, name: str) -> None:
    dtype = "uint8" if spec.bounded else "float32"
    assert split.x.dtype == dtype, f"{name}.x is {split.x.dtype}; expected {dtype}"
    assert split.x.shape[1:] == spec.shape, (
        f"{name}.x holds samples of shape {split.x.shape[1:]}; expected {spec.shape}"
    )
    assert len(split.x) > 0, f"the {name} split is empty"
    if spec.classes is None:
        return
    assert split.y is not None, f"{name}.y is None although there are {spec.classes} classes"
    assert split.y.dtype == np.int64, f"{name}.y is {split.y.dtype}; expected int64"
    assert split.y.shape == (len(split.x),), f"{name}.y has shape {split.y.shape}"
    inside = bool(((split.y >= 0) & (split.y < spec.classes)).all())
    assert inside, f"{name}.y has labels outside 0 .. {spec.classes - 1}"


# --- metrics ----------------------------------------------------------------------------------


def check_metric(
    metric: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    data: Data | None = None,
    model: Any = None,
    registry: Registry | None = None,
) -> None:
    """Check a metric: repeatable, whatever the minibatches; real samples beat noise.

    The last law is for metrics of samples. ``data`` and ``model`` replace the small defaults.
    """
    part = subject("metric", metric, settings, registry)
    data = data or small_data(train=256, test=SAMPLES)
    model = model or Oracle(data.spec.shape)
    check_requirements(part, part.cls(part.settings).requires)
    real = torch.from_numpy(np.array(data.test.x))
    noise = to_uint8(torch.randn(real.shape, generator=torch.Generator().manual_seed(0)))
    with tempfile.TemporaryDirectory() as folder:

        def score(
            x: Tensor, chunk: int, model: Any = model, device: torch.device = CPU
        ) -> Sequence[Score]:
            built = part.cls(part.settings)
            context = MetricContext(
                data=data, model=model, device=device, cache=Path(folder), n=len(x), offline=True
            )
            built.begin(context)
            if built.uses == "samples":
                for start in range(0, len(x), chunk):
                    built.update(x[start : start + chunk])
            return tuple(built.result())

        scores = score(real, 32)
        assert scores, f"{part.name} gave no score"
        for one in scores:
            _is_score(part.name, one)
            _is_own_name(part, one, registry)
        for again in (score(real, 32), score(real, 20)):
            _agree(part.name, scores, again)
        with pretended_cuda(), on_the_device(f"metric '{part.name}'"):
            moved = deepcopy(model)
            moved.nets.to(CUDA)
            _agree(part.name, scores, score(real.to(CUDA), 32, moved, CUDA))
        if part.cls(part.settings).uses == "samples":
            _real_beats_noise(part.name, scores, score(noise.to(real.dtype), 32))


def _is_score(name: str, score: Score) -> None:
    assert np.isfinite(score.value), f"{name}: '{score.metric}' is {score.value}"
    assert score.n > 0, f"{name}: '{score.metric}' says n = {score.n}"
    known = ("min", "max", "floor")
    assert score.direction in known, f"{name}: direction is {score.direction!r}; expected {known}"
    assert score.direction != "floor" or score.floor is not None, (
        f"{name}: '{score.metric}' is best near its floor, but it has no floor"
    )
    assert score.protocol, f"{name}: '{score.metric}' has no protocol; add what decides its value"
    try:
        json.dumps(dict(score.protocol))
    except TypeError as error:
        raise AssertionError(f"{name}: the protocol must be plain JSON values: {error}") from None


def _is_own_name(part: Subject, score: Score, registry: Registry | None) -> None:
    """A score under another metric's name would be ranked among that metric's."""
    for known in (registry, Registry.from_environment()):
        names = {r.name: r for r in known.of("metric")} if known else {}
        if score.metric != part.name and score.metric in names:
            registered = names[score.metric]
            assert registered.target == f"{part.cls.__module__}:{part.cls.__qualname__}", (
                f"{part.name} reports a score as '{score.metric}', which is the metric of "
                f"{registered.owner}; name it after your metric, such as '{part.name}' or "
                f"'{part.name}_{score.metric}'"
            )


def _agree(name: str, scores: Sequence[Score], again: Sequence[Score]) -> None:
    for one, other in zip(scores, again, strict=True):
        assert np.isclose(one.value, other.value, rtol=1e-4, atol=1e-6), (
            f"{name}: '{one.metric}' is {one.value} and then {other.value} for the same samples; "
            "seed what is random with context.seed, and don't depend on the minibatches"
        )
        assert one.protocol == other.protocol, f"{name}: the protocol changes between two calls"


def _real_beats_noise(name: str, real: Sequence[Score], noise: Sequence[Score]) -> None:
    for one, other in zip(real, noise, strict=True):
        if one.direction == "floor":
            target = one.floor or 0.0
            better = abs(one.value - target) < abs(other.value - target)
        else:
            better = one.value < other.value if one.direction == "min" else one.value > other.value
        assert better, (
            f"{name}: '{one.metric}' is {one.value:.4g} for real samples and {other.value:.4g} for "
            f"noise, but direction is '{one.direction}'"
        )


def check_requirements(part: Subject, requires: Any) -> None:
    """What a sampler or a metric asks of models is known."""
    for requirement in requires:
        unknown = {*alternatives(requirement)} - {*part.known}
        assert not unknown, f"{part.name} requires {unknown}; known: {', '.join(part.known)}"
