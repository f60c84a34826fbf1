"""What the tests of the models share: building by name, and learning on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench import (
    Batch,
    Data,
    DataAccess,
    DataSpec,
    MetricContext,
    Score,
    rendered,
    to_float,
    to_uint8,
)
from genbench.registry import Registry
from genbench.settings import validate

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def plugins() -> Registry:
    return Registry.from_environment()


@pytest.fixture(scope="session")
def make(plugins) -> Callable[..., Any]:
    """``make(name, data, **settings)`` -> a model."""

    def build(name: str, data: DataSpec, **values: Any) -> Any:
        settings = validate(plugins.settings("model", name), values, owner=name)
        return plugins.target("model", name)(settings, data)

    return build


@pytest.fixture(scope="session")
def digits_of(plugins, tmp_path_factory) -> Callable[..., Data]:
    """``digits_of(size=8)`` -> the data set with these settings."""

    def load(**settings: Any) -> Data:
        cache = tmp_path_factory.mktemp("digits")
        access = DataAccess(root=cache, cache=cache, offline=True)
        chosen = plugins.settings("dataset", "digits")(**settings)
        data: Data = plugins.target("dataset", "digits")(chosen).load(access)
        return data

    return load


@pytest.fixture(scope="session")
def digits_data(digits_of) -> Data:
    return digits_of()


@pytest.fixture(scope="session")
def references(tmp_path_factory) -> Path:
    """A cache of what metrics compute of the real images, for all tests."""
    folder: Path = tmp_path_factory.mktemp("references")
    return folder


@pytest.fixture
def learns(make, digits_data, references, tmp_path) -> Callable[..., Any]:
    """``learns(name, epochs=..., **settings)`` -> fd_clf untrained and trained, and the model.

    Where the model validates, what it reports of the test split has fallen too: the error of pixels
    where there is one, as features move with the network that they are taken in, else the loss.
    """
    from genbench.engine import seed_everything, train
    from genbench.spec import RunSpec

    def learn(
        name: str, *, epochs: int, batch_size: int = 50, data: Data = digits_data, **values: Any
    ) -> Any:
        seed_everything(0)
        model = make(name, data.spec, **values)
        untrained, at_first = fd_clf(model, data), validated(model, data)
        model.nets.train()
        spec = RunSpec(model=name, dataset="digits", epochs=epochs, batch_size=batch_size)
        train(model, data, spec, device=CPU, folder=tmp_path, emit=lambda event: None)
        trained, at_last = fd_clf(model, data), validated(model, data)
        print(f"{name}: fd_clf {untrained:.0f} -> {trained:.0f}, test {at_first} -> {at_last}")
        assert at_first is None or at_last < 0.9 * at_first
        return untrained, trained, model

    def validated(model: Any, data: Data) -> float | None:
        stage = next((stage for stage in model.stages() if stage.validate is not None), None)
        if stage is None:
            return None
        test = data.test
        batch = Batch(x=to_float(torch.tensor(test.x)), y=torch.tensor(test.y))
        model.nets.eval()
        torch.manual_seed(0)
        with torch.no_grad():
            told = stage.validate(batch)
        return float(told.get("pixels", told["loss"]))

    def fd_clf(model: Any, data: Data) -> float:
        from genbench_metrics.fd_clf import FdClf

        metric, n = FdClf(), len(data.test.x)
        metric.begin(MetricContext(data=data, model=model, device=CPU, cache=references, n=n))
        model.nets.eval()
        with torch.no_grad():
            z = model.prior(n, torch.Generator().manual_seed(0))
            y = torch.arange(n) % model.classes if hasattr(model, "classes") else None
            metric.update(to_uint8(rendered(model, model.generate(z, y))))
        return metric.result()[0].value

    return learn


@pytest.fixture
def label_accuracy(digits_data, references) -> Callable[[Any], Score]:
    """The score of that name of a conditional model of digits."""

    def score(model: Any) -> Score:
        from genbench_metrics.label_accuracy import LabelAccuracy

        metric = LabelAccuracy()
        model.nets.eval()
        context = MetricContext(data=digits_data, model=model, device=CPU, cache=references, n=500)
        metric.begin(context)
        (found,) = metric.result()
        return found

    return score
