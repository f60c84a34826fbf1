"""The settings, attributes and files of CelebA.

torchvision's layout, ROOT/celeba: img_align_celeba/NNNNNN.jpg (178x218), list_eval_partition.txt
and list_attr_celeba.txt. Its other text files are not read.
"""

from __future__ import annotations

import difflib
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from genbench import DataAccess, DatasetSettings, DataSpec
from genbench_data.celeba_files import Partition, read_partition

IMAGES = "img_align_celeba"
ARCHIVE = f"{IMAGES}.zip"
PARTITION_FILE = "list_eval_partition.txt"
ATTRIBUTE_FILE = "list_attr_celeba.txt"

TRAIN, VALID, TEST = 162_770, 19_867, 19_962
"""Images of each part, as published."""

HEADER = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard "
    "Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling "
    "Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)
"""The second line of the file of attributes."""

ATTRIBUTES = tuple(HEADER.split())


class CelebaSettings(DatasetSettings):
    """Settings of ``celeba``.

    By default, two attributes make the labels. Both are common (about 42 % and 48 % of the images)
    and visible at 32 pixels, so that there are four frequent classes for conditional models and for
    the classifier of `fd_clf`.
    """

    size: int = Field(64, ge=8, le=178, description="side of an image in pixels")
    crop: int = Field(
        148,
        ge=8,
        le=178,
        description="side of the central square of 178x218 pixels that is resized to size",
    )
    attributes: tuple[str, ...] = Field(
        ("Male", "Smiling"),
        max_length=6,
        description="attributes for the labels, with a class for each combination; []: no labels",
    )
    valid: bool = Field(
        False, description="add the validation part (19,867 images) to the training split"
    )
    limit: int = Field(
        0, ge=0, description="number of training images to use, the first ones; 0: all"
    )

    @field_validator("attributes", mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Accept ``Male,Smiling`` from --set; an empty value means no labels."""
        if given is None:
            return ()
        return tuple(given.replace(",", " ").split()) if isinstance(given, str) else given

    @field_validator("attributes")
    @classmethod
    def _are_known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(given):
            if name not in ATTRIBUTES:
                near = difflib.get_close_matches(name, ATTRIBUTES, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else "."
                raise ValueError(
                    f"unknown attribute '{name}'{hint} There are: {', '.join(ATTRIBUTES)}"
                )
            if name in given[:place]:
                raise ValueError(f"attribute '{name}' is given twice")
        return given

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all combinations: 'not Male, not Smiling', 'not Male, Smiling', ..."""
        if not self.attributes:
            return ()
        words = [name.replace("_", " ") for name in self.attributes]
        choices = product(*((f"not {word}", word) for word in words))
        return tuple(", ".join(choice) for choice in choices)

    def describe(self, access: DataAccess) -> DataSpec:
        """The description by the list of parts if it exists, else as published."""
        file = self.folder(access) / PARTITION_FILE
        if file.is_file():
            found = self.parts(file)
            train, test = len(found.train), len(found.test)
        else:
            train, test = TRAIN + (VALID if self.valid else 0), TEST
        names = self.class_names
        return DataSpec(
            name="celeba",
            shape=(3, self.size, self.size),
            classes=len(names) or None,
            class_names=names,
            attributes=self.attributes,
            train=min(self.limit, train) or train,
            test=test,
        )

    def missing(self, access: DataAccess) -> str | None:
        """The files that would have to be downloaded."""
        folder = self.folder(access)
        absent = self.absent(folder)
        return f"{', '.join(absent)} in {folder}" if absent else None

    def folder(self, access: DataAccess) -> Path:
        """The folder that torchvision uses."""
        return access.root / "celeba"

    def absent(self, folder: Path) -> list[str]:
        """The required files that are missing; images may be packed or unpacked."""
        texts = [PARTITION_FILE, *([ATTRIBUTE_FILE] if self.attributes else [])]
        absent = [name for name in texts if not (folder / name).is_file()]
        there = (folder / IMAGES).is_dir() or (folder / ARCHIVE).is_file()
        return absent if there else [*absent, ARCHIVE]

    def parts(self, file: Path) -> Partition:
        """The training and test images. Raises DataError with the file and the line."""
        return read_partition(file, valid=self.valid)
