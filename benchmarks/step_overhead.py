"""What the engine costs over a bare PyTorch loop of the same networks, as a ratio.

    python benchmarks/step_overhead.py [--model gan|vae] [--steps N] [--rounds N] [--ema D]
                                       [--device cpu|cuda]

Both train the same networks on the same uint8 images at MNIST's shape, batch 100, one thread, in
one process, in alternating rounds. The bare loop is the best that a careful hand writes: uint8
images in one tensor, batches by index, fused Adam, gradients only where they are needed, no loss
ever read. The engine draws, checks, records, reads and reports as in a run, but without
checkpoints. Times are CPU seconds of the process: on one thread they are the work done, and other
processes on the machine disturb them less than the wall-clock. It exits with 1 if the ratio of
medians is beyond 1.03.

With ``--device cuda`` times are seconds of the wall-clock, with the device synchronized, and the
engine is measured twice: with ordinary steps, for which the budget holds, and with captured ones.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.contracts import Batch, Data, DataSpec, Optimizer, Phase, Split, Stage
from genbench.engine import resolve_device, seed_everything, train
from genbench.engine.device import synchronize
from genbench.events import EpochDone, StepsDone
from genbench.pixels import to_float
from genbench.spec import RunSpec

BATCH, Z = 100, 64
BUDGET = 1.03


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class GAN:
    """Goodfellow et al. 2014 with the non-saturating generator loss."""

    averaged = ("generator",)

    def __init__(self) -> None:
        self.nets = nn.ModuleDict(
            {
                "generator": mlp(Z, 256, 256, 784).append(nn.Tanh()),
                "discriminator": mlp(784, 256, 256, 1),
            }
        )

    def optimizers(self) -> dict[str, Optimizer]:
        return {
            "g": Optimizer(nets=("generator",), betas=(0.5, 0.999)),
            "d": Optimizer(nets=("discriminator",), betas=(0.5, 0.999)),
        }

    def stages(self) -> tuple[Stage, ...]:
        d = Phase(name="discriminator", loss=self.d_loss, updates=("d",))
        g = Phase(name="generator", loss=self.g_loss, updates=("g",))
        return (Stage(name="train", phases=(d, g)),)

    def d_loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        real, fake = self.d_terms(batch.x)
        return {"d": {"real": real, "fake": fake}}

    def g_loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        return {"g": {"adversarial": self.g_term(batch.x)}}

    def d_terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fakes = self.nets["generator"](torch.randn(len(x), Z, device=x.device))
        real = F.softplus(-self.nets["discriminator"](x.flatten(1))).mean()
        return real, F.softplus(self.nets["discriminator"](fakes)).mean()

    def g_term(self, x: Tensor) -> Tensor:
        fakes = self.nets["generator"](torch.randn(len(x), Z, device=x.device))
        return F.softplus(-self.nets["discriminator"](fakes)).mean()

    def bare_step(self) -> Callable[[Tensor], None]:
        g = list(self.nets["generator"].parameters())
        d = list(self.nets["discriminator"].parameters())
        g_adam = torch.optim.Adam(g, lr=2e-4, betas=(0.5, 0.999), fused=True)
        d_adam = torch.optim.Adam(d, lr=2e-4, betas=(0.5, 0.999), fused=True)

        def step(x: Tensor) -> None:
            d_adam.zero_grad(set_to_none=True)
            real, fake = self.d_terms(x)
            (real + fake).backward()
            d_adam.step()
            g_adam.zero_grad(set_to_none=True)
            self.g_term(x).backward(inputs=g)
            g_adam.step()

        return step


class VAE:
    """Kingma and Welling 2013, Gaussian posterior, Bernoulli likelihood."""

    averaged = ()

    def __init__(self) -> None:
        self.nets = nn.ModuleDict({"encoder": mlp(784, 256, 40), "decoder": mlp(20, 256, 784)})

    def optimizers(self) -> dict[str, Optimizer]:
        return {"vae": Optimizer(nets=("encoder", "decoder"), lr=1e-3)}

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage(name="train", phases=(Phase(name="elbo", loss=self.loss, updates=("vae",)),)),
        )

    def loss(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        bce, kl = self.terms(batch.x)
        return {"vae": {"bce": bce, "kl": kl}}

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.flatten(1)
        mean, log_variance = self.nets["encoder"](x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        logits = self.nets["decoder"](z)
        bce = F.binary_cross_entropy_with_logits(logits, (x + 1) / 2, reduction="sum") / len(x)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(x)
        return bce, kl

    def bare_step(self) -> Callable[[Tensor], None]:
        adam = torch.optim.Adam(self.nets.parameters(), lr=1e-3, fused=True)

        def step(x: Tensor) -> None:
            adam.zero_grad(set_to_none=True)
            bce, kl = self.terms(x)
            (bce + kl).backward()
            adam.step()

        return step


def fake_mnist(n: int) -> Data:
    x = np.random.default_rng(0).integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)
    split = Split(x=x, y=None, digest="noise")
    empty = Split(x=x[:0], y=None, digest="empty")
    return Data(spec=DataSpec(name="noise", shape=(1, 28, 28)), train=split, test=empty)


def seconds(device: torch.device) -> float:
    """CPU seconds of the process so far, or those of the clock once the device has finished."""
    if device.type == "cpu":
        return time.process_time()
    synchronize(device)
    return time.perf_counter()


def bare_round(step: Callable[[Tensor], None], images: Tensor, steps: int) -> float:
    """Seconds a step of the bare loop."""
    begun = seconds(images.device)
    order = torch.randperm(len(images), device=images.device)
    for k in range(steps):
        step(to_float(images.index_select(0, order[k * BATCH : (k + 1) * BATCH])))
    return (seconds(images.device) - begun) / steps


class Rounds:
    """Listens to the engine: times each of its epochs, and runs a round of the bare loop after it.

    An epoch of the engine begins where the last event before it was done with.
    """

    def __init__(self, bare: Callable[[], float], steps: int, device: torch.device) -> None:
        self.bare, self.steps, self.device = bare, steps, device
        self.pairs: list[tuple[float, float]] = []
        self._begun = 0.0

    def __call__(self, event: object) -> None:
        if isinstance(event, StepsDone):
            return
        if isinstance(event, EpochDone):
            engine = (seconds(self.device) - self._begun) / self.steps
            self.pairs.append((engine, self.bare()))
        self._begun = seconds(self.device)


def measure(
    cls: Callable[[], Any],
    device: torch.device,
    *,
    steps: int,
    rounds: int,
    ema: float | None,
    capture: bool,
) -> tuple[float, float]:
    """Median seconds a step of the engine and of the bare loop; the first round warms up."""
    data = fake_mnist(steps * BATCH)
    images = torch.from_numpy(data.train.x).to(device)
    seed_everything(0)
    bare = cls()
    bare.nets.to(device)
    step = bare.bare_step()
    listener = Rounds(lambda: bare_round(step, images, steps), steps, device)
    spec = RunSpec(
        model="bench",
        dataset="noise",
        epochs=rounds + 1,
        batch_size=BATCH,
        ema=ema,
        capture=capture,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(cls(), data, spec, device=device, folder=Path(folder), emit=listener)
    engine, alone = zip(*listener.pairs[1:], strict=True)
    return statistics.median(engine), statistics.median(alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("gan", "vae"), action="append")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--ema", type=float)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = resolve_device(given.device)
    worst = 0.0
    for name in given.model or ("gan", "vae"):
        for capture in (False, True)[: 2 if device.type == "cuda" else 1]:
            engine, bare = measure(
                {"gan": GAN, "vae": VAE}[name],
                device,
                steps=given.steps,
                rounds=given.rounds,
                ema=given.ema,
                capture=capture,
            )
            print(
                f"{name}: engine {engine * 1e3:.3f} ms a{' captured' if capture else ''} step, "
                f"bare {bare * 1e3:.3f} ms, ratio {engine / bare:.3f}"
            )
            worst = worst if capture else max(worst, engine / bare)
    sys.exit(worst > BUDGET)


if __name__ == "__main__":
    main()
