"""Small data sets, written as their files are, and what pictures of runs show."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def small_mnist(root: Path, folder: str) -> None:
    """A few real digits in torchvision's layout."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype("uint8").repeat(4, 1).repeat(4, 2)[:, 2:30, 2:30] * 15
    labels = load_digits().target.astype("uint8")
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for split, part in (("train", slice(0, 300)), ("t10k", slice(300, 400))):
        x, y = images[part], labels[part]
        header = struct.pack(">IIII", 2051, len(x), 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + x.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, len(y)) + y.tobytes()
        )


def small_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (folder / label).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")


def small_celeba(root: Path, attributes: Sequence[str]) -> None:
    """A few faces in CelebA's layout; each attribute brightens a stripe of its own."""
    folder, rng = root / "celeba", np.random.default_rng(0)
    (folder / "img_align_celeba").mkdir(parents=True)
    parts, rows = [], []
    for k in range(32):
        has = rng.random(len(attributes)) < 0.5
        pixels = rng.integers(0, 80, (218, 178, 3), dtype=np.uint8)
        for place in np.flatnonzero(has):
            pixels[40 + 25 * place : 60 + 25 * place] += 150
        name = f"{k + 1:06d}.png"
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name)
        parts.append(f"{name} {0 if k < 24 else 2}")
        rows.append(f"{name} " + " ".join("1" if one else "-1" for one in has))
    (folder / "list_eval_partition.txt").write_text("\n".join(parts))
    head = [str(len(rows)), " ".join(attributes)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([*head, *rows]))


def shown(picture: Path) -> bytes:
    """The pixels of a run's picture below its caption, which names the run."""
    with Image.open(picture) as image:
        caption = int(image.info.get("caption-height", 0))
        return image.crop((0, caption, *image.size)).tobytes()
