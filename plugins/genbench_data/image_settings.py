"""The settings of the built-in data sets, which describe them without decoding.

Neither numpy nor torch is imported here, so that validation and listings stay fast.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from genbench import DataAccess, DatasetSettings, DataSpec
from genbench_data import image_listing
from genbench_data.idx_files import absent_files

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _is_none(value: str) -> bool:
    """The default is not stored, so that runs from before this setting keep their hash."""
    return value == "none"


Binarize = Annotated[
    Literal["none", "fixed", "dynamic"],
    Field(
        description="binarise pixels, white with probability grey / 255; fixed: once; dynamic: "
        "training images for each minibatch, test images once",
        exclude_if=_is_none,
    ),
]


class DigitsSettings(DatasetSettings):
    """Settings of ``digits``."""

    size: int = Field(28, ge=8, le=1024, description="side of an image in pixels; 8: original")
    binarize: Binarize = "none"

    def describe(self, access: DataAccess) -> DataSpec:
        """The description as published; no file is read."""
        shape = (1, self.size, self.size)
        return DataSpec(
            name="digits", shape=shape, classes=10, class_names=DIGITS, train=1437, test=360
        )


class MnistSettings(DatasetSettings):
    """Settings of ``mnist``."""

    registered: ClassVar[str] = "mnist"
    folder: ClassVar[str] = "MNIST"
    class_names: ClassVar[tuple[str, ...]] = DIGITS

    size: int = Field(28, ge=8, le=1024, description="side of an image in pixels; 28: original")
    limit: int = Field(
        0, ge=0, description="number of training images to use, the first ones; 0: all"
    )
    binarize: Binarize = "none"

    def describe(self, access: DataAccess) -> DataSpec:
        """The description as published; no file is read."""
        return DataSpec(
            name=self.registered,
            shape=(1, self.size, self.size),
            classes=len(self.class_names),
            class_names=self.class_names,
            train=min(self.limit, 60_000) or 60_000,
            test=10_000,
        )

    def missing(self, access: DataAccess) -> str | None:
        """The files that would have to be downloaded."""
        folder = access.root / self.folder / "raw"
        absent = absent_files(folder)
        return f"{', '.join(absent)} in {folder}" if absent else None


class FashionMnistSettings(MnistSettings):
    """Settings of ``fashion-mnist``."""

    registered: ClassVar[str] = "fashion-mnist"
    folder: ClassVar[str] = "FashionMNIST"
    class_names: ClassVar[tuple[str, ...]] = CLOTHES


class StackedMnistSettings(DatasetSettings):
    """Settings of ``stacked-mnist``."""

    source: Literal["auto", "mnist", "digits"] = Field(
        "auto", description="the digits that are stacked; auto: mnist if it is there, else digits"
    )
    size: int = Field(28, ge=8, le=1024, description="side of an image in pixels")
    train: int = Field(25_600, ge=1, le=10_000_000, description="number of training images")
    each: int = Field(
        10, ge=1, le=10_000, description="number of test images of each of the 1,000 modes"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the triples, independent of the run's seed"
    )

    @property
    def name(self) -> str:
        """``stacked-mnist`` or ``stacked-digits``, by what it is made of."""
        return f"stacked-{self.source}"

    def fitted(self, access: DataAccess) -> Self:
        """The digits that are there."""
        if self.source != "auto":
            return self
        absent = absent_files(access.root / MnistSettings.folder / "raw")
        return self.model_copy(update={"source": "digits" if absent else "mnist"})

    def describe(self, access: DataAccess) -> DataSpec:
        """The description from the settings; no image is read."""
        return DataSpec(
            name=self.fitted(access).name,
            shape=(3, self.size, self.size),
            classes=1000,
            class_names=tuple(f"{mode:03}" for mode in range(1000)),
            train=self.train,
            test=1000 * self.each,
        )

    def missing(self, access: DataAccess) -> str | None:
        """The files that would have to be downloaded."""
        mnist = self.fitted(access).source == "mnist"
        return MnistSettings(size=self.size, limit=0).missing(access) if mnist else None


class ImageFolderSettings(DatasetSettings):
    """Settings of ``image-folder``."""

    argument: ClassVar[str | None] = "path"

    path: str = Field(
        min_length=1,
        description="the folder, looked up from here, then in the data directory; "
        "its subfolders are the classes",
    )
    size: int = Field(64, ge=8, le=1024, description="side of an image in pixels")
    crop: Literal["center", "none"] = Field(
        "center", description="center: crop the longer side; none: change the aspect ratio"
    )
    channels: Literal[1, 3] = Field(3, description="3: colour; 1: grey")
    test_share: float = Field(
        0.1, gt=0, le=0.5, description="share of test images, selected by a hash of file names"
    )

    def describe(self, access: DataAccess) -> DataSpec:
        """List the folder without decoding. Raises DataError if it's missing or empty."""
        return self.spec(self.listed(access))

    def listed(self, access: DataAccess) -> image_listing.ImageListing:
        """The images of the folder and their split."""
        folder = image_listing.find(self.path, access.root)
        return image_listing.list_images(folder, test_share=self.test_share)

    def spec(self, found: image_listing.ImageListing) -> DataSpec:
        """The description of a listed folder."""
        return DataSpec(
            name="image-folder",
            shape=(self.channels, self.size, self.size),
            classes=len(found.class_names) or None,
            class_names=found.class_names,
            train=len(found.train),
            test=len(found.test),
        )
