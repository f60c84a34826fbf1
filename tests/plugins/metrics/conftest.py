"""A small labelled data set and a context, for the tests of the metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import Tensor, nn

from genbench import Data, DataAccess, DataSpec, Metric, MetricContext, Score, Split
from genbench.features.classifier import shipped
from genbench.registry import Registry

Make = Callable[..., MetricContext]


def bars(n: int, shape: tuple[int, int, int], seed: int) -> Split:
    """Images of a bright bar, upright (class 0) or lying (class 1), at a random place."""
    order = np.random.default_rng(seed)
    channels, height, width = shape
    x = order.integers(0, 60, (n, channels, height, width), dtype=np.uint8)
    y = order.integers(0, 2, n)
    for image, label in zip(x, y, strict=True):
        place = order.integers(2, min(height, width) - 2)
        if label:
            image[:, place] = 250
        else:
            image[:, :, place] = 250
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    return Split(x=x, y=y, digest=digest)


@pytest.fixture
def context(tmp_path: Path) -> Make:
    """Make a MetricContext over bars; keywords replace its fields or those of its data."""

    def make(*, shape: tuple[int, int, int] = (1, 16, 16), **changes: Any) -> MetricContext:
        of_data = {
            name: changes.pop(name) for name in ("train", "test", "render") if name in changes
        }
        spec = DataSpec(name=changes.pop("name", "bars"), shape=shape, classes=2)
        parts = {"train": bars(300, shape, 1), "test": bars(120, shape, 2), **of_data}
        data = changes.pop("data", None) or Data(spec=spec, **parts)
        fields: dict[str, Any] = {
            "model": None,
            "device": torch.device("cpu"),
            "cache": tmp_path / "cache",
            "n": len(data.test.x),
            "offline": True,
            **changes,
        }
        return MetricContext(data=data, **fields)

    return make


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inception-v3 with random weights that keep the scale of the signal from layer to layer."""
    from torch_fidelity import feature_extractor_inceptionv3 as published

    class Unloaded(published.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return None

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    network = Unloaded("x", ["2048"], feature_extractor_weights_path=str(path))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)
    return path


class Bare(torch.utils.data.Dataset[torch.Tensor]):
    """Bare uint8 tensors, as torch-fidelity wants them."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


@pytest.fixture
def fidelity() -> Callable[..., dict[str, float]]:
    """torch-fidelity's own scores of uint8 images against others, on the CPU and without cache."""

    def scores(samples: Tensor, reference: Tensor, **asked: Any) -> dict[str, float]:
        found: dict[str, float] = torch_fidelity.calculate_metrics(
            input1=Bare(samples),
            input2=Bare(reference),
            cuda=False,
            save_cpu_ram=True,
            cache=False,
            verbose=False,
            **asked,
        )
        return found

    return scores


@pytest.fixture(scope="session")
def lenet_of_digits() -> str:
    """The shipped classifier of digits under the name by which torch-fidelity knows it."""
    net = shipped("digits")

    class OfDigits(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)
            self.net = net

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return "hidden", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "hidden"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            return torch.zeros(1, 1, 28, 28, dtype=torch.uint8)

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            hidden = self.net.features(images.float() / 255)
            layers = {"hidden": hidden, "logits": self.net.fc3(hidden)}
            return tuple(layers[name] for name in self.features_list)

    name = "lenet-of-digits"
    torch_fidelity.register_feature_extractor(name, OfDigits)
    return name


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The data set that comes with scikit-learn, 1,437 and 360 images of 1x28x28."""
    registry, folder = Registry.from_environment(), tmp_path_factory.mktemp("digits")
    settings = registry.settings("dataset", "digits")()
    access = DataAccess(root=folder, cache=folder, offline=True)
    data: Data = registry.target("dataset", "digits")(settings).load(access)
    return data


@pytest.fixture
def smeared(digits: Data) -> Tensor:
    """1,100 training images of digits, each turned halfway into its mirror image."""
    images = torch.from_numpy(np.array(digits.train.x[:1100])).float()
    return (0.7 * images + 0.3 * images.flip(-1)).to(torch.uint8)


@pytest.fixture
def take() -> Callable[..., Score]:
    """The only score of a metric for samples that come in minibatches of 37."""

    def taken(metric: Metric, context: MetricContext, samples: Tensor) -> Score:
        metric.begin(context)
        for batch in samples.split(37):
            metric.update(batch)
        (score,) = metric.result()
        return score

    return taken
