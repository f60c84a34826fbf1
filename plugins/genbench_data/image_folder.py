"""image-folder: any folder of images, decoded once to one size.

Subfolders are classes, as for torchvision's ImageFolder. An image is rotated by its EXIF
orientation, transparent pixels are blended with white, and it is cropped and resized bicubically.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from genbench import Data, DataAccess
from genbench_data.content_digest import content_digest
from genbench_data.decoding import in_chunks, planes, read_image
from genbench_data.image_listing import ImageListing
from genbench_data.image_settings import ImageFolderSettings
from genbench_data.resize import Pixels
from genbench_data.split_cache import Decoding, splits


class ImageFolder:
    """The data set ``image-folder``, uint8 (channels, size, size)."""

    def __init__(self, settings: ImageFolderSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """List and decode once. Raises DataError with the name of a file that can't be decoded."""
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

    def _split(self, found: ImageListing, paths: Sequence[str]) -> Decoding:
        labels, size = found.labels(paths), self.settings.size
        return Decoding(
            shape=(len(paths), self.settings.channels, size, size),
            chunks=in_chunks(
                [found.folder / path for path in paths],
                self._decode,
                what="image-folder",
                hint="fix it, delete it or move it out of the folder",
            ),
            labels=None if labels is None else np.array(labels, np.int64),
        )

    def _decode(self, file: Path) -> Pixels:
        """Uint8 (channels, size, size). Raises the errors of Pillow."""
        side = (self.settings.size, self.settings.size)
        image = read_image(file, "L" if self.settings.channels == 1 else "RGB")
        if self.settings.crop == "center":
            image = ImageOps.fit(image, side, method=Image.Resampling.BICUBIC)
        return planes(image, side)
