"""LeNet-5 with ReLU and max pooling, and the training recipe of fd_clf's classifiers.

LeCun et al. (1998), "Gradient-based learning applied to document recognition"; we differ in ReLU,
max pooling and cross-entropy. 61,706 parameters on grey images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genbench.contracts import Data, Split
from genbench.engine.randomness import forked_rng
from genbench.features.extractor import real_samples, resized

ARCHITECTURE = "lenet5"
DIM = 84


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The training settings of a classifier.

    The optimizer is AdamW; the learning rate increases over the first tenth of the steps and then
    falls to 0 as a cosine. ``images`` is the total number of training images, with each image used
    at most ``epochs`` times; ``shift`` is the maximum random translation of the input in pixels,
    filled with black.
    """

    seed: int = 0
    images: int = 480_000
    epochs: int = 400
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 1e-4
    shift: int = 1


class LeNet(nn.Module):
    """Images in [0, 1], (b, channels, size, size) with size 28 or 32 -> logits (b, classes)."""

    def __init__(self, *, channels: int, classes: int, size: int) -> None:
        super().__init__()
        self.size = size
        # 28 x 28 is padded to the 32 x 32 of the paper.
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=(32 - size) // 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, DIM)
        self.fc3 = nn.Linear(DIM, classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer after its ReLU, (b, 84)."""
        x = F.max_pool2d(F.relu(self.conv1(x * 2 - 1)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, classes)."""
        logits: Tensor = self.fc3(self.features(x))
        return logits


def trained(
    data: Data, *, channels: int, classes: int, size: int, recipe: Recipe, device: torch.device
) -> LeNet:
    """A classifier trained on the whole training split with ``recipe``, in eval mode."""
    with forked_rng(device), torch.enable_grad():
        torch.manual_seed(recipe.seed)
        net = LeNet(channels=channels, classes=classes, size=size).to(device)
        _fit(net, data, recipe, device)
    return net.requires_grad_(False).eval()


def accuracy(net: LeNet, data: Data, split: Split, *, device: torch.device) -> float:
    """The accuracy on a split, 0 to 1."""
    right, done = 0, 0
    labels = _labels(split)
    with torch.no_grad():
        for images in real_samples(data, split, device=device, batch_size=500):
            guess = net(resized(images, net.size)).argmax(1).cpu()
            right += int((guess == labels[done : done + len(guess)]).sum())
            done += len(guess)
    return right / max(done, 1)


def _fit(net: LeNet, data: Data, recipe: Recipe, device: torch.device) -> None:
    order = np.random.default_rng(recipe.seed)
    labels, size = _labels(data.train), len(data.train.x)
    batch = min(recipe.batch_size, size)
    steps = max(1, min(recipe.images, recipe.epochs * size) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.lr, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
    )
    done = 0
    while done < steps:
        rows = order.permutation(size)[: size // batch * batch]
        batches = real_samples(data, data.train, device=device, batch_size=batch, rows=rows)
        for index, images in enumerate(batches):
            y = labels[rows[index * batch : (index + 1) * batch]].to(device)
            loss = F.cross_entropy(net(_shifted(resized(images, net.size), recipe.shift)), y)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            done += 1
            if done == steps:
                break


def _shifted(x: Tensor, most: int) -> Tensor:
    """Each image translated by random numbers of pixels, at most ``most`` in each direction."""
    count, channels, height, width = x.shape
    x = F.pad(x, (most, most, most, most))
    moves = torch.randint(0, 2 * most + 1, (2, count, 1))
    rows = (moves[0] + torch.arange(height)).view(count, 1, height, 1).to(x.device)
    columns = (moves[1] + torch.arange(width)).view(count, 1, 1, width).to(x.device)
    images = torch.arange(count, device=x.device).view(count, 1, 1, 1)
    planes = torch.arange(channels, device=x.device).view(1, channels, 1, 1)
    return x[images, planes, rows, columns]


def _labels(split: Split) -> Tensor:
    if split.y is None:
        raise ValueError("a split without labels can't train a classifier")
    return torch.from_numpy(np.array(split.y, dtype=np.int64))
