"""image-folder: any folder of images, decoded once to one size.

Subfolders are classes, as for torchvision's ImageFolder. An image is turned as its EXIF says,
laid on white where it is transparent, cropped or squashed, and resized bicubically.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from genbench import Data, DataAccess, DataError
from genbench_data.cache import Decoding, splits
from genbench_data.content import content_digest
from genbench_data.listing import Listing
from genbench_data.resize import PORTION
from genbench_data.settings import ImageFolderSettings


class ImageFolder:
    """The data set ``image-folder``, uint8 (channels, size, size)."""

    def __init__(self, settings: ImageFolderSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """List, decode once. Raises DataError with the name of a file that can't be decoded."""
        settings = self.settings
        found = settings.listed(access)
        paths = sorted(found.train + found.test)
        content = content_digest(access, found.folder, paths, what="image-folder")
        train, test = splits(
            access,
            lambda: (self._split(found, found.train), self._split(found, found.test)),
            what="image-folder",
            content=content,
            **settings.model_dump(exclude={"path"}),
        )
        return Data(spec=settings.spec(found), train=train, test=test)

    def _split(self, found: Listing, paths: Sequence[str]) -> Decoding:
        labels, size = found.labels(paths), self.settings.size
        return Decoding(
            shape=(len(paths), self.settings.channels, size, size),
            portions=self._portions([found.folder / path for path in paths]),
            labels=None if labels is None else np.array(labels, np.int64),
        )

    def _portions(self, files: Sequence[Path]) -> Iterator[np.ndarray[Any, Any]]:
        """Images in the order of ``files``; Pillow decodes outside Python's lock."""
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(files), PORTION):
                yield np.stack(list(pool.map(self._image, files[start : start + PORTION])))

    def _image(self, file: Path) -> np.ndarray[Any, Any]:
        try:
            return decode(file, self.settings)
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            raise DataError(
                f"image-folder: {file} can't be decoded ({error}); mend it, delete it or move it "
                f"out of the folder"
            ) from error


def decode(file: Path, settings: ImageFolderSettings) -> np.ndarray[Any, Any]:
    """Decode one image to uint8 (channels, size, size). Raises what Pillow raises."""
    side = (settings.size, settings.size)
    with Image.open(file) as opened:
        image = _flat(ImageOps.exif_transpose(opened), "L" if settings.channels == 1 else "RGB")
    if settings.crop == "center":
        image = ImageOps.fit(image, side, method=Image.Resampling.BICUBIC)
    else:
        image = image.resize(side, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if settings.channels == 1 else pixels.transpose(2, 0, 1)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Eight bits a channel, without transparency.

    Pillow by itself clips 16-bit images to white and shows whatever hides behind transparency.
    """
    if image.mode == "F":
        raise ValueError("floating-point images have no stated range; save them as 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert(mode)
    return image.convert(mode)
