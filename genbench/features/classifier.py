"""The classifier for features and class probabilities: shipped, or trained on this machine.

Shipped weights were made by ``scripts/train_classifiers.py`` and are in ``weights/``. Others are
trained on the training split once and cached, with data, architecture and recipe as key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from genbench.contracts import Data, MetricContext
from genbench.errors import UsageError
from genbench.features.extractor import resized
from genbench.features.lenet import ARCHITECTURE, DIM, LeNet, Recipe, accuracy, trained
from genbench.features.sharing import shared_network
from genbench.features.tensor_cache import cached_tensors, digest_of

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("digits", "mnist", "fashion-mnist")
STACKED = "stacked-"
"""Data sets named after it and one of `SHIPPED` have an image of that set in each channel."""
TRAINED_HERE = Recipe(images=160_000)
"""A third of the images of the shipped ones; it takes half a minute on one core."""


class ClassifierFeatures:
    """The 84 features of a trained `LeNet`; images of another size are resized to its input."""

    name = f"{ARCHITECTURE}-{DIM}"
    dim = DIM

    def __init__(
        self, net: LeNet, *, trained_on: str, shape: tuple[int, ...], device: torch.device
    ) -> None:
        same = shape[1:] == (net.size, net.size)
        self.classes = net.fc3.out_features
        weights = digest_of(net.state_dict())
        self._network = shared_network(
            f"{self.name} {net.size} {weights} {device}", lambda: _both_layers(net, device)
        )
        self.protocol: Mapping[str, Any] = {
            "extractor": self.name,
            "layer": f"last hidden after ReLU ({DIM})",
            "weights": weights,
            "trained_on": trained_on,
            "resize": "none" if same else f"{net.size}x{net.size}, bilinear, antialiased",
        }

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, 84)."""
        return self._network.outputs(samples)[0]

    def logits(self, samples: Tensor) -> Tensor:
        """Float32 (b, classes), unnormalised log-probabilities."""
        return self._network.outputs(samples)[1]


class ClassifierLogits:
    """An extractor for the class logits of the classifier."""

    name = f"{ARCHITECTURE}-logits"

    def __init__(self, classifier: ClassifierFeatures | StackedFeatures) -> None:
        self._classifier = classifier
        self.dim = classifier.classes
        self.protocol: Mapping[str, Any] = {
            **classifier.protocol,
            "extractor": self.name,
            "layer": f"logits ({self.dim})",
        }

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, classes)."""
        return self._classifier.logits(samples)


class StackedFeatures:
    """The features of each channel by the classifier of a single one, one after another.

    For images with a digit in each channel, the class is the number of these digits.
    """

    def __init__(self, single: ClassifierFeatures, channels: int) -> None:
        self._single, self._channels = single, channels
        self.name = f"{single.name} of each channel"
        self.dim = channels * single.dim
        self.classes = single.classes**channels
        self.protocol: Mapping[str, Any] = {**single.protocol, "extractor": self.name}

    def features(self, samples: Tensor) -> Tensor:
        """Float32 (b, 84 channels)."""
        return self._single.features(samples.flatten(0, 1)[:, None]).view(len(samples), -1)

    def logits(self, samples: Tensor) -> Tensor:
        """Float32 (b, classes), the sums of the channels' log-probabilities."""
        each = self._single.logits(samples.flatten(0, 1)[:, None]).log_softmax(1)
        each = each.view(len(samples), self._channels, -1)
        joint = each[:, 0]
        for channel in range(1, self._channels):
            joint = (joint[:, :, None] + each[:, channel, None]).flatten(1)
        return joint


def classifier_for(
    context: MetricContext, shape: tuple[int, ...], recipe: Recipe | None = None
) -> tuple[ClassifierFeatures | StackedFeatures, str]:
    """The extractor for a labelled image data set, and a note about it for the score.

    ``shape`` (C, H, W) is the shape of the scored images.
    """
    data, device = context.data, context.device
    single = data.spec.name.removeprefix(STACKED)
    if data.spec.name.startswith(STACKED) and single in SHIPPED and data.render is None:
        origin = f"{single}, shipped"
        one = ClassifierFeatures(
            shipped(single), trained_on=origin, shape=(1, *shape[1:]), device=device
        )
        return StackedFeatures(one, shape[0]), ""
    if data.spec.name in SHIPPED and shape[0] == 1 and data.render is None:
        net, origin = shipped(data.spec.name), f"{data.spec.name}, shipped"
        return ClassifierFeatures(net, trained_on=origin, shape=shape, device=device), ""
    net, right = _kept_or_trained(context, shape, recipe or TRAINED_HERE)
    origin = f"{data.spec.name}, {data.train.digest}"
    note = f"classifier trained here, test accuracy {right:.1%}"
    return ClassifierFeatures(net, trained_on=origin, shape=shape, device=device), note


def shipped(name: str) -> LeNet:
    """The classifier that is part of genbench for one of `SHIPPED`."""
    return _loaded(load_file(WEIGHTS / f"{name}.safetensors"), channels=1, classes=10, size=28)


def _both_layers(net: LeNet, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """uint8 images (b, C, H, W) -> features (b, 84) and logits (b, classes)."""
    net = net.to(device).requires_grad_(False).eval()

    def run(samples: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            features = net.features(resized(samples.to(device), net.size))
            return features, net.fc3(features)

    return run


def _kept_or_trained(
    context: MetricContext, shape: tuple[int, ...], recipe: Recipe
) -> tuple[LeNet, float]:
    data, device = context.data, context.device
    channels, classes = shape[0], data.spec.classes or 0
    size = 28 if max(shape[1:]) <= 28 else 32
    key = {
        "architecture": f"{ARCHITECTURE} {channels}x{size}x{size} {classes}",
        "data": data.train.digest,
        "labels": _labels_digest(data),
        "split": "train",
        "recipe": asdict(recipe),
    }

    def build() -> dict[str, Tensor]:
        if context.quick:
            raise UsageError(
                f"there is no classifier for '{data.spec.name}' yet, and the monitor doesn't train "
                f"one"
            )
        net = trained(
            data, channels=channels, classes=classes, size=size, recipe=recipe, device=device
        )
        right = accuracy(net, data, data.test, device=device)
        return {**net.state_dict(), "accuracy": torch.tensor(right, dtype=torch.float64)}

    tensors = cached_tensors(context.cache / "metrics", "classifier", key, build)
    right = float(tensors.pop("accuracy"))
    return _loaded(tensors, channels=channels, classes=classes, size=size), right


def _loaded(tensors: Mapping[str, Tensor], *, channels: int, classes: int, size: int) -> LeNet:
    """A classifier with these weights, built without drawing random initial ones."""
    with torch.device("meta"):
        net = LeNet(channels=channels, classes=classes, size=size)
    net.load_state_dict(tensors, assign=True)
    return net.requires_grad_(False).eval()


def _labels_digest(data: Data) -> str:
    labels = b"" if data.train.y is None else data.train.y.astype("<i8").tobytes()
    return hashlib.sha256(labels).hexdigest()
