"""The loops of a public notebook, written from its description.

A DataLoader makes a tensor of one PIL image after the other, the discriminator has one pass for
real and one for fake images, the optimizers are `torch.optim.Adam`, and each step calls `.item()`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_tensor

Images = np.ndarray[Any, Any]
"""uint8 (N, 1, 28, 28)."""


class OneByOne(torch.utils.data.Dataset[Tensor]):
    """Images (1, 28, 28) in [0, 1], through PIL."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        made: Tensor = to_tensor(Image.fromarray(self.images[index, 0]))
        return made


def batches(images: Images) -> Iterator[Tensor]:
    """Shuffled batches (100, 784) in [0, 1], without end."""
    while True:
        loader = torch.utils.data.DataLoader(OneByOne(images), batch_size=100, shuffle=True)
        for batch in loader:
            yield batch.view(len(batch), -1)


def dense(sizes: list[int], between: Callable[[], list[nn.Module]], last: nn.Module) -> nn.Module:
    """Linear layers through ``sizes``, with other layers between them and after the last one."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), *between()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]), last)


def gan_step(images: Images) -> Callable[[], None]:
    """A step: D on real and on fake images, then G on fresh noise, BCE on sigmoids."""
    g = dense([100, 256, 512, 1024, 784], lambda: [nn.LeakyReLU(0.2)], nn.Tanh())
    d = dense([784, 1024, 512, 256, 1], lambda: [nn.LeakyReLU(0.2), nn.Dropout(0.3)], nn.Sigmoid())
    g_adam = torch.optim.Adam(g.parameters(), lr=2e-4)
    d_adam = torch.optim.Adam(d.parameters(), lr=2e-4)
    loss, source = nn.BCELoss(), batches(images)

    def step() -> None:
        x = next(source) * 2 - 1
        ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        d_adam.zero_grad()
        fake = g(torch.randn(len(x), 100)).detach()
        d_loss = loss(d(x), ones) + loss(d(fake), zeros)
        d_loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        g_loss = loss(d(g(torch.randn(len(x), 100))), ones)
        g_loss.backward()
        g_adam.step()
        d_loss.item(), g_loss.item()

    return step


def vae_step(images: Images) -> Callable[[], None]:
    """A step: 784-512-256-(2 + 2) and back, BCE and KL summed, Adam 1e-3."""
    encoder = dense([784, 512, 256, 4], lambda: [nn.ReLU()], nn.Identity())
    decoder = dense([2, 256, 512, 784], lambda: [nn.ReLU()], nn.Sigmoid())
    both = nn.ModuleList([encoder, decoder])
    adam, source = torch.optim.Adam(both.parameters(), lr=1e-3), batches(images)

    def step() -> None:
        x = next(source)
        adam.zero_grad()
        mean, logvar = encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        bce = F.binary_cross_entropy(decoder(z), x, reduction="sum")
        loss = bce - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
        loss.backward()
        adam.step()
        loss.item()

    return step
