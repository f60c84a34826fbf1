"""MNIST and Fashion-MNIST in torchvision's folders: ROOT/MNIST/raw and ROOT/FashionMNIST/raw.

The IDX files may be unpacked or gzipped. Missing ones are downloaded from torchvision's mirrors and
checked against its MD5 sums; GENBENCH_MIRROR is another source with the layout of ROOT, such as a
served data directory with the archives.

Sources: LeCun, Cortes and Burges 1998; Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genbench import Data, DataAccess, DataError
from genbench_data.binarize import KEY, drawn_once, load_as
from genbench_data.content_digest import content_digest
from genbench_data.download import Archive, DownloadError, download, sources
from genbench_data.idx import read_idx
from genbench_data.idx_files import FILES, absent_files, present_file
from genbench_data.image_settings import FashionMnistSettings, MnistSettings
from genbench_data.resize import resized
from genbench_data.split_cache import Decoding, first, splits


class Mnist:
    """60,000 training and 10,000 test images of handwritten digits, uint8 (1, size, size)."""

    def __init__(self, settings: MnistSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Download what is missing, decode once, apply ``limit``. Raises DataError."""
        return load_as(self.settings.binarize, lambda drawn: self._load(access, drawn))

    def _load(self, access: DataAccess, drawn: bool) -> Data:
        """The grey images, or their binarised draws."""
        settings = self.settings
        folder = access.root / settings.folder / "raw"
        files = self._files(folder, access)
        content = content_digest(access, folder, files, what=settings.registered)

        def decode() -> tuple[Decoding, Decoding]:
            return self._decode(folder, files)

        train, test = splits(
            access,
            drawn_once(decode) if drawn else decode,
            what=settings.registered,
            content=content,
            size=settings.size,
            **({"binarize": KEY} if drawn else {}),
        )
        train = first(train, settings.limit)
        spec = replace(settings.describe(access), train=len(train.x), test=len(test.x))
        return Data(spec=spec, train=train, test=test)

    def _files(self, folder: Path, access: DataAccess) -> tuple[str, ...]:
        """The names of the four files, which are downloaded if they are missing."""
        absent = absent_files(folder)
        if absent and access.offline:
            raise self._missing(folder, "downloads are forbidden (offline)")
        try:
            for archive in self._archives() if absent else ():
                if archive.name.removesuffix(".gz") in absent:
                    download(archive, folder, access)
        except DownloadError as error:
            raise self._missing(folder, f"can't be downloaded ({error})") from None
        return tuple(found for name in FILES if (found := present_file(folder, name)))

    def _archives(self) -> Sequence[Archive]:
        """The archives that torchvision would download, from GENBENCH_MIRROR if it is set."""
        from torchvision import datasets

        folder = self.settings.folder
        known = getattr(datasets, folder)
        return [
            Archive(
                name=name,
                md5=md5,
                urls=sources(f"{folder}/raw/{name}", [base + name for base in known.mirrors]),
            )
            for name, md5 in known.resources
        ]

    def _missing(self, folder: Path, reason: str) -> DataError:
        settings, absent = self.settings, ", ".join(absent_files(folder))
        return DataError(
            f"{settings.registered} is missing and {reason}; put {absent} (or each as .gz) into "
            f"{folder}, or set the folder that contains {settings.folder}/raw with --data-dir or "
            f"GENBENCH_DATA; 'digits' needs no download"
        )

    def _decode(self, folder: Path, files: Sequence[str]) -> tuple[Decoding, Decoding]:
        train_images, train_labels, test_images, test_labels = (folder / name for name in files)
        return self._read(train_images, train_labels), self._read(test_images, test_labels)

    def _read(self, images_file: Path, labels_file: Path) -> Decoding:
        """One split. Raises DataError if the two files don't match."""
        what, size = self.settings.registered, self.settings.size
        images = read_idx(images_file, dimensions=3, what=what)
        labels = read_idx(labels_file, dimensions=1, what=what)
        if len(images) != len(labels):
            raise DataError(
                f"{what}: {images_file} has {len(images):,} images but {labels_file} has "
                f"{len(labels):,} labels; delete both to download them again"
            )
        _check_values(what, images_file, images, labels_file, labels)
        return Decoding(
            shape=(len(images), 1, size, size),
            chunks=resized(images, size),
            labels=labels.astype(np.int64),
        )


class FashionMnist(Mnist):
    """60,000 training and 10,000 test images of clothes, uint8 (1, size, size)."""

    def __init__(self, settings: FashionMnistSettings) -> None:
        super().__init__(settings)


def _check_values(
    what: str,
    images_file: Path,
    images: np.ndarray[Any, Any],
    labels_file: Path,
    labels: np.ndarray[Any, Any],
) -> None:
    if images.shape[1:] != (28, 28) or not len(images):
        raise DataError(
            f"{what}: {images_file} has images of shape {images.shape}, not (N, 28, 28); "
            f"delete it to download it again"
        )
    if labels.max() > 9:
        raise DataError(
            f"{what}: {labels_file} has the label {labels.max()}, which is not in 0 to 9; "
            f"delete it to download it again"
        )
