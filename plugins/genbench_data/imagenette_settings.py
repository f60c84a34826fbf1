"""The settings, classes and files of Imagenette.

torchvision's layout is ROOT/imagenette2-160/{train,val}/nXXXXXXXX/*.JPEG, with imagenette2-320 and
imagenette2 for the larger versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from pydantic import Field

from genbench import DataAccess, DataError, DatasetSettings, DataSpec

CLASSES: Mapping[str, str] = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""The sorted WordNet ids of the classes, with their first names in torchvision."""

URL = "https://s3.amazonaws.com/fast-ai-imageclas/"
FOLDERS = {"160px": "imagenette2-160", "320px": "imagenette2-320", "full": "imagenette2"}
MD5 = {
    "160px": "e793b78cc4c9e9a4ccc0c1155377a412",
    "320px": "3df6f0d01a2c9592104656642f5e78a3",
    "full": "fe2fc210e6bb7c5664d602c3cd71e612",
}
TRAIN, TEST = 9_469, 3_925
"""Images of each version, as published."""


@dataclass(frozen=True, kw_only=True)
class ImagenetteFiles:
    """The images of a version: paths below its folder, with forward slashes.

    They are interleaved by class, so that the first images have all classes equally often.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]


class ImagenetteSettings(DatasetSettings):
    """Settings of ``imagenette``."""

    version: Literal["160px", "320px", "full"] = Field(
        "160px", description="published version, by its shorter side; full: original size"
    )
    size: int = Field(
        160, ge=8, le=1024, description="side of an image in pixels, after a central square crop"
    )
    limit: int = Field(
        0, ge=0, description="number of training images to use, equally many per class; 0: all"
    )

    def describe(self, access: DataAccess) -> DataSpec:
        """The description by its files if they exist, else as published. Raises DataError."""
        folder = self.folder(access)
        found = listed(folder) if folder.is_dir() else None
        train, test = (len(found.train), len(found.test)) if found else (TRAIN, TEST)
        return DataSpec(
            name="imagenette",
            shape=(3, self.size, self.size),
            classes=len(CLASSES),
            class_names=tuple(CLASSES.values()),
            train=min(self.limit, train) or train,
            test=test,
        )

    def missing(self, access: DataAccess) -> str | None:
        """The folder, if it would have to be downloaded."""
        folder = self.folder(access)
        packed = folder.with_name(f"{folder.name}.tgz")
        return None if folder.is_dir() or packed.is_file() else str(folder)

    def folder(self, access: DataAccess) -> Path:
        """The folder that torchvision uses for this version."""
        return access.root / FOLDERS[self.version]


def listed(folder: Path) -> ImagenetteFiles:
    """List both splits by the names of their files.

    Raises DataError if a class has no images, as in an incomplete copy.
    """
    return ImagenetteFiles(train=_split(folder / "train"), test=_split(folder / "val"))


def label(path: str) -> int:
    """The class of an image, by its folder."""
    return list(CLASSES).index(path.split("/")[1])


def _split(folder: Path) -> tuple[str, ...]:
    columns = [_images(folder, wnid) for wnid in CLASSES]
    return tuple(path for row in zip_longest(*columns) for path in row if path is not None)


def _images(folder: Path, wnid: str) -> Sequence[str]:
    """The files that end in .jpeg (upper or lower case), without hidden ones, as in torchvision."""
    try:
        names = [file.name for file in (folder / wnid).iterdir()]
    except OSError as error:
        raise _incomplete(folder / wnid, error.strerror or str(error)) from error
    kept = sorted(n for n in names if n.lower().endswith(".jpeg") and not n.startswith("."))
    if not kept:
        raise _incomplete(folder / wnid, "no .JPEG file in it")
    return [f"{folder.name}/{wnid}/{name}" for name in kept]


def _incomplete(folder: Path, reason: str) -> DataError:
    whole = folder.parent.parent
    return DataError(
        f"imagenette: {folder} ({CLASSES[folder.name]}) can't be listed: {reason}; delete or "
        f"complete {whole}; if it is deleted, it is downloaded again"
    )
