"""imagenette: ten classes of ImageNet that are easy to distinguish, decoded to central squares.

Source: Howard 2019, github.com/fastai/imagenette (second edition, 70 / 30 split), in torchvision's
layout. The largest central square is cropped at integer pixels, then resized bicubically. With the
version "160px" and size 160, no pixel is resampled, as in IJzer's centre crop of 160x160.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench import Data, DataAccess, DataError
from genbench_data.content_digest import content_digest
from genbench_data.decoding import central_square, in_chunks, planes, read_image
from genbench_data.download import Archive, DownloadError, download, sources
from genbench_data.imagenette_settings import MD5, URL, ImagenetteSettings, label, listed
from genbench_data.resize import Pixels
from genbench_data.split_cache import Decoding, first, splits
from genbench_data.unpack import unpacked


class Imagenette:
    """9,469 training and 3,925 test photographs (``val``), uint8 (3, size, size)."""

    def __init__(self, settings: ImagenetteSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Download and unpack if missing, decode once, apply ``limit``. Raises DataError."""
        settings, folder = self.settings, self._folder(access)
        found = listed(folder)
        content = content_digest(access, folder, found.train + found.test, what="imagenette")
        train, test = splits(
            access,
            lambda: (self._split(folder, found.train), self._split(folder, found.test)),
            what="imagenette",
            content=content,
            size=settings.size,
        )
        train = first(train, settings.limit)
        spec = replace(settings.describe(access), train=len(train.x), test=len(test.x))
        return Data(spec=spec, train=train, test=test)

    def _split(self, folder: Path, paths: Sequence[str]) -> Decoding:
        size = self.settings.size
        return Decoding(
            shape=(len(paths), 3, size, size),
            chunks=in_chunks(
                [folder / path for path in paths],
                self._decode,
                what="imagenette",
                hint=f"delete {folder} to download it again, or delete this file only",
            ),
            labels=np.array([label(path) for path in paths], np.int64),
        )

    def _decode(self, file: Path) -> Pixels:
        size = self.settings.size
        return planes(central_square(read_image(file)), (size, size))

    def _folder(self, access: DataAccess) -> Path:
        """The folder of the version, which is unpacked or downloaded if it is missing."""
        settings, folder = self.settings, self.settings.folder(access)
        name = f"{folder.name}.tgz"
        archive = Archive(name=name, md5=MD5[settings.version], urls=sources(name, [URL + name]))
        if settings.missing(access) and access.offline:
            raise self._missing(folder, "downloads are forbidden (offline)")
        try:
            return unpacked(folder.name, archive, access.root, access, download)
        except DownloadError as error:
            raise self._missing(folder, f"can't be downloaded ({error})") from None

    def _missing(self, folder: Path, reason: str) -> DataError:
        return DataError(
            f"imagenette is missing and {reason}; put {folder.name}.tgz (from {URL}) into "
            f"{folder.parent}, or set the folder that contains {folder.name} with --data-dir or "
            f"GENBENCH_DATA; 'digits' needs no download"
        )
