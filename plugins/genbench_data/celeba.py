"""celeba: aligned faces of celebrities, decoded once to centred squares.

Source: Liu, Luo, Wang and Tang 2015, "Deep Learning Face Attributes in the Wild" (arXiv:1411.7766),
in torchvision's layout. The central ``crop`` x ``crop`` of 178x218 pixels are resized bicubically.
Larsen et al. 2016 (arXiv:1512.09300) use 148, with a square that is 5 pixels lower; 108 is usual
for DCGAN, 140 for Wasserstein autoencoders. Part 0 is the training split, part 2 the test split;
part 1 is not used, unless ``valid`` adds it to the training split.

The cache has the images only; the labels depend on the selected attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genbench import Data, DataAccess, DataError, Split
from genbench_data.celeba_files import Partition, read_labels
from genbench_data.celeba_settings import (
    ARCHIVE,
    ATTRIBUTE_FILE,
    IMAGES,
    PARTITION_FILE,
    CelebaSettings,
)
from genbench_data.content_digest import content_digest, unreadable
from genbench_data.decoding import central_square, in_chunks, planes, read_image
from genbench_data.download import Archive, DownloadError, download, sources
from genbench_data.google_drive import download_from_drive
from genbench_data.resize import Pixels
from genbench_data.split_cache import Decoding, first, labelled, splits
from genbench_data.unpack import unpacked


class Celeba:
    """162,770 training and 19,962 test faces, uint8 (3, size, size), labelled by attributes."""

    def __init__(self, settings: CelebaSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Download what is missing, decode once, label, apply ``limit``. Raises DataError."""
        settings, folder = self.settings, self.settings.folder(access)
        self._provide(folder, access)
        parts = settings.parts(folder / PARTITION_FILE)
        _check_there(folder / IMAGES, parts)
        train, test = self._images(folder / IMAGES, parts, access)
        if settings.attributes:
            labels = read_labels(folder / ATTRIBUTE_FILE, settings.attributes)
            train = labelled(train, _labels(folder, labels, parts.train))
            test = labelled(test, _labels(folder, labels, parts.test))
        train = first(train, settings.limit)
        return Data(spec=settings.describe(access), train=train, test=test)

    def _images(self, folder: Path, parts: Partition, access: DataAccess) -> tuple[Split, Split]:
        """Both splits without labels, from the cache or decoded."""
        settings = self.settings
        return splits(
            access,
            lambda: (self._decoding(folder, parts.train), self._decoding(folder, parts.test)),
            what="celeba",
            content=content_digest(access, folder, parts.train + parts.test, what="celeba"),
            size=settings.size,
            crop=settings.crop,
            train=len(parts.train),
        )

    def _decoding(self, folder: Path, names: Sequence[str]) -> Decoding:
        size = self.settings.size
        return Decoding(
            shape=(len(names), 3, size, size),
            chunks=in_chunks(
                [folder / name for name in names],
                self._decode,
                what="celeba",
                hint=f"delete {folder} to unpack {ARCHIVE} or download it again",
            ),
            labels=None,
        )

    def _decode(self, file: Path) -> Pixels:
        settings = self.settings
        return planes(
            central_square(read_image(file), settings.crop), (settings.size, settings.size)
        )

    def _provide(self, folder: Path, access: DataAccess) -> None:
        """Download and unpack the files that are missing."""
        absent = self.settings.absent(folder)
        if not absent and (folder / IMAGES).is_dir():
            return
        if absent and access.offline:
            raise self._missing(folder, "downloads are forbidden (offline)")
        archives = {archive.name: archive for archive in _archives()}
        try:
            for name in absent:
                if name != ARCHIVE:
                    _fetch(archives[name], folder, access)
            unpacked(IMAGES, archives[ARCHIVE], folder, access, _fetch)
        except DownloadError as error:
            raise self._missing(folder, f"can't be downloaded ({error})") from None

    def _missing(self, folder: Path, reason: str) -> DataError:
        absent = ", ".join(self.settings.absent(folder))
        return DataError(
            f"celeba is not complete and {reason}; put {absent} from the set's page "
            f"(mmlab.ie.cuhk.edu.hk/projects/CelebA.html, Align&Cropped Images) into {folder}, or "
            f"set the folder that contains celeba with --data-dir or GENBENCH_DATA; 'digits' needs "
            f"no download"
        )


def _archives() -> Sequence[Archive]:
    """The archives that torchvision would download, from Google Drive or GENBENCH_MIRROR."""
    from torchvision.datasets import CelebA

    return [
        Archive(name=name, md5=md5, urls=sources(f"celeba/{name}", [file_id]))
        for file_id, md5, name in CelebA.file_list
    ]


def _fetch(archive: Archive, folder: Path, access: DataAccess) -> None:
    if "://" in archive.urls[0]:
        download(archive, folder, access)
    else:
        download_from_drive(archive, folder)


def _check_there(folder: Path, parts: Partition) -> None:
    """Raise DataError if images of the partition are missing from the folder."""
    try:
        there = {file.name for file in folder.iterdir()}
    except OSError as error:
        raise unreadable("celeba", folder, error) from error
    named = parts.train + parts.test
    absent = [name for name in named if name not in there]
    if absent:
        raise DataError(
            f"celeba: {len(absent):,} of the {len(named):,} images that {PARTITION_FILE} lists are "
            f"not in {folder} ({absent[0]} is the first); unpack {ARCHIVE} again"
        )


def _labels(folder: Path, labels: dict[str, int], names: Sequence[str]) -> np.ndarray[Any, Any]:
    """The classes of images, int64 (N,)."""
    absent = [name for name in names if name not in labels]
    if absent:
        raise DataError(
            f"celeba: {folder / ATTRIBUTE_FILE} has no line for {absent[0]} ({len(absent):,} "
            f"of {len(names):,} images have none); delete it to download it again"
        )
    return np.array([labels[name] for name in names], np.int64)
