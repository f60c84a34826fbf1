"""Pairs of training: epochs of the engine and of another loop, in turn, in one process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genbench.contracts import Data
from genbench.engine import seed_everything, train
from genbench.events import EpochDone
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner.access import data_access
from genbench.runner.build_parts import build_model, load_data
from speed.notebook import Images, gan_step, vae_step
from speed.pair import Pair, timed
from speed.peers import Epoch, lightning_vae, pythae_vae, pythae_vq_vae

BATCH = 100
Build = Callable[[Any, Images, Path], Epoch]


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another program that trains the networks of ``model``, in epochs of ``steps`` steps.

    ``package`` is what it needs; ``sets`` are the settings of genbench's model.
    """

    name: str
    model: str
    sets: tuple[str, ...]
    steps: int
    build: Build
    package: str = "torch"


def notebook(step_of: Callable[[Images], Callable[[], None]], steps: int) -> Build:
    """An epoch of a notebook's loop, which has networks of its own, of the same sizes."""

    def build(model: Any, images: Images, folder: Path) -> Epoch:
        step = step_of(images)
        return lambda: timed(lambda: [step() for _ in range(steps)])

    return build


GAN = (
    "z_dim=100",
    "g_hidden=[256,512,1024]",
    "d_hidden=[1024,512,256]",
    "d_dropout=0.3",
    "beta1=0.9",
)
RIVALS = (
    Rival(
        name="GAN: a notebook's loop", model="gan", sets=GAN, steps=20, build=notebook(gan_step, 20)
    ),
    Rival(
        name="VAE: a notebook's loop",
        model="vae",
        sets=("z_dim=2", "hidden=[512,256]"),
        steps=50,
        build=notebook(vae_step, 50),
    ),
    Rival(
        name="VAE: pythae's trainer",
        model="vae",
        sets=("z_dim=10", "hidden=[512]"),
        steps=100,
        build=pythae_vae,
        package="pythae",
    ),
    Rival(
        name="VAE: Lightning's trainer",
        model="vae",
        sets=("z_dim=10", "hidden=[512]"),
        steps=100,
        build=lightning_vae,
        package="lightning",
    ),
    Rival(
        name="VQ-VAE: pythae's trainer",
        model="vq-vae",
        sets=("likelihood=mse", "lr=1e-3"),
        steps=20,
        build=pythae_vq_vae,
        package="pythae",
    ),
)


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def mnist(data_dir: Path | None) -> Data:
    """MNIST, as a run reads it."""
    access, registry = data_access(data_dir, os.environ), Registry.from_environment()
    request = Request(model="gan", dataset="mnist")
    return load_data(resolve(request, registry, access, {}, Path.cwd()).spec, registry, access)


class _EnoughError(Exception):
    """All rounds are done."""


def training_pair(rival: Rival, rounds: int, data_dir: Path | None) -> Pair:
    """Rounds of an epoch of the engine, then of the rival on as many images; the first warms up.

    The engine shuffles all of MNIST and takes as many images of it as an epoch of the rival has.
    Its seconds are the training seconds of an epoch, as a run stores them: validation on the test
    split and checkpoints are apart, and the rivals have neither.
    """
    access, registry = data_access(data_dir, os.environ), Registry.from_environment()
    run = {"epochs": rounds + 2, "batch_size": BATCH, "watch": False}
    run["epoch_images"] = BATCH * rival.steps
    request = Request(model=rival.model, dataset="mnist", sets=rival.sets, run=run)
    spec = resolve(request, registry, access, {}, Path.cwd()).spec
    data = load_data(spec, registry, access)
    pair = Pair(rival.name, f"{rival.steps} steps")
    with tempfile.TemporaryDirectory() as folder:
        seed_everything(0)
        build = partial(build_model, spec, data.spec, registry)
        epoch = rival.build(build(), data.train.x[: BATCH * rival.steps], Path(folder))
        listen = _Rounds(pair, epoch, rounds)
        model, cpu = build(), torch.device("cpu")
        with contextlib.suppress(_EnoughError):
            train(model, data, spec, device=cpu, folder=Path(folder) / "ours", emit=listen)
    return pair


class _Rounds:
    """Listens to the engine: takes the seconds of its epochs, and runs the rival's after each."""

    def __init__(self, pair: Pair, epoch: Epoch, rounds: int) -> None:
        self._pair, self._epoch, self._rounds = pair, epoch, rounds

    def __call__(self, event: object) -> None:
        if not isinstance(event, EpochDone):
            return
        theirs = self._epoch()
        if event.epoch > 1:
            self._pair.add(theirs, (event.train_s, event.cpu_s or 0.0))
        if len(self._pair.ours) == self._rounds:
            raise _EnoughError
