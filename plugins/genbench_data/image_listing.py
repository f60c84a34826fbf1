"""The images of a folder, their classes and their split, from the file names only.

This file only imports the standard library: listing a hundred thousand images takes a second.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genbench import DataError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)


@dataclass(frozen=True, kw_only=True)
class ImageListing:
    """A folder of images: paths relative to ``folder``, with forward slashes, sorted.

    ``class_names`` is empty if there are no classes.
    """

    folder: Path
    train: tuple[str, ...]
    test: tuple[str, ...]
    class_names: tuple[str, ...]

    def labels(self, paths: Sequence[str]) -> list[int] | None:
        """The classes of images: the indices of their topmost subfolders in ``class_names``."""
        if not self.class_names:
            return None
        places = {name: place for place, name in enumerate(self.class_names)}
        return [places[path.partition("/")[0]] for path in paths]


def find(path: str, root: Path) -> Path:
    """The folder ``path``, relative to the working directory or else to the data directory.

    Raises DataError if neither exists.
    """
    given = Path(path).expanduser()
    places = list(dict.fromkeys((given.absolute(), (root / given).absolute())))
    for place in places:
        if place.is_dir():
            return place
    if places[0].exists():
        raise DataError(f"image-folder: {places[0]} is a file; path must name a folder of images")
    looked = " and ".join(str(place) for place in places)
    raise DataError(
        f"image-folder: there is no folder '{path}' (looked for {looked}); set path to a folder "
        f"of images, or of one subfolder of images for each class"
    )


def list_images(folder: Path, *, test_share: float) -> ImageListing:
    """List the images below a folder, with classes and split by their names.

    Raises DataError for fewer than two images, or for images next to subfolders of classes.
    """
    paths = sorted(_image_paths(folder))
    if len(paths) < 2:
        raise DataError(
            f"image-folder: {folder} has {len(paths) or 'no'} image{'s' * (len(paths) != 1)}; "
            f"at least 2 are needed ({', '.join(sorted(SUFFIXES))}, upper or lower case)"
        )
    test = _held_out(paths, test_share)
    return ImageListing(
        folder=folder,
        train=tuple(path for path in paths if path not in test),
        test=tuple(path for path in paths if path in test),
        class_names=_classes(folder, paths),
    )


def _image_paths(folder: Path) -> list[str]:
    """Paths of the images, links followed; hidden files and ``__MACOSX`` are left out."""
    found: list[str] = []
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=_unlistable, followlinks=True):
        place = os.path.realpath(here)
        if place in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        prefix = Path(here).relative_to(folder).as_posix()
        found += [
            name if prefix == "." else f"{prefix}/{name}"
            for name in files
            if PurePosixPath(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return found


def _unlistable(error: OSError) -> None:
    raise DataError(f"image-folder: {error.filename} can't be listed: {error.strerror}")


def _classes(folder: Path, paths: list[str]) -> tuple[str, ...]:
    """The topmost subfolders, sorted as by torchvision; a single one is not a class."""
    loose = [path for path in paths if "/" not in path]
    tops = sorted({path.partition("/")[0] for path in paths if "/" in path})
    if loose and tops:
        raise DataError(
            f"image-folder: {folder} has images ({loose[0]}, {len(loose)} in total) next to "
            f"subfolders of images ({tops[0]}, {len(tops)} in total); put every image into a "
            f"subfolder named after its class, or all of them into one folder"
        )
    return tuple(tops) if len(tops) > 1 else ()


def _held_out(paths: list[str], share: float) -> frozenset[str]:
    """The test images: each depends on its name only, so that new images don't move others.

    If a split would be empty, it gets the image closest to the threshold.
    """
    ranks = {path: _rank(path) for path in paths}
    ranked = sorted(paths, key=ranks.__getitem__)
    count = sum(rank < share for rank in ranks.values())
    return frozenset(ranked[: min(max(count, 1), len(ranked) - 1)])


def _rank(path: str) -> float:
    """A number in [0, 1) from a path, which doesn't depend on the Unicode form of accents."""
    name = unicodedata.normalize("NFC", path)
    content = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(content[:8]) / 2**64
