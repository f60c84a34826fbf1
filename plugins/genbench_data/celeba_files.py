"""CelebA's text files: the part and the attributes of each image.

This file only imports the standard library. Every line is checked; an error names the file, the
line and the fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench import DataError

PARTS = {"0": "train", "1": "valid", "2": "test"}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The names of the images to train on and to test on, in the order of the file."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def read_partition(file: Path, *, valid: bool) -> Partition:
    """Read list_eval_partition.txt, lines of "000001.jpg 0"; ``valid``: train on part 1 too.

    Raises DataError for an invalid line, an image that occurs twice, or an empty part.
    """
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    seen: set[str] = set()
    for number, words in _lines(file):
        if len(words) != 2 or words[1] not in PARTS:
            raise _malformed(file, number, words, "an image and its part (0, 1 or 2)")
        if words[0] in seen:
            raise _malformed(file, number, words, "every image once")
        seen.add(words[0])
        parts[words[1]].append(words[0])
    for part in ("0", "2"):
        if not parts[part]:
            raise DataError(
                f"celeba: {file} has no image of part {part} ({PARTS[part]}); delete it to "
                f"download it again"
            )
    train = parts["0"] + parts["1"] if valid else parts["0"]
    return Partition(train=tuple(train), test=tuple(parts["2"]))


def read_labels(file: Path, attributes: Sequence[str]) -> dict[str, int]:
    """The class of each image in list_attr_celeba.txt: its attributes as a binary number.

    The first attribute is the highest digit. The lines of the file are the number of images, the
    names of the attributes, then "000001.jpg -1 1 ..." with 1 for attributes of the image. Raises
    DataError for an invalid line, or an absent attribute.
    """
    lines = _lines(file)
    _, count = next(lines, (1, []))
    number, header = next(lines, (2, []))
    if absent := [name for name in attributes if name not in header]:
        raise _malformed(file, number, header, f"a line of names with {', '.join(absent)}")
    columns = [header.index(name) + 1 for name in attributes]
    labels: dict[str, int] = {}
    for number, words in lines:
        if len(words) != len(header) + 1:
            raise _malformed(file, number, words, f"an image and {len(header)} values")
        label = 0
        for column in columns:
            if words[column] not in ("1", "-1"):
                raise _malformed(file, number, words[column : column + 1], "1 or -1")
            label = 2 * label + (words[column] == "1")
        labels[words[0]] = label
    if count != [str(len(labels))]:
        raise _malformed(file, 1, count, f"the number of images below, {len(labels):,}")
    return labels


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The number (from 1) and the words of each line that is not blank."""
    try:
        text = file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise DataError(
            f"celeba: {file} can't be read ({error}); fix it, or delete it to download it again"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.split():
            yield number, words


def _malformed(file: Path, number: int, words: Sequence[str], expected: str) -> DataError:
    found = " ".join(words)
    return DataError(
        f"celeba: {file}, line {number}: expected {expected}, found '{found[:60]}'; delete the "
        f"file to download it again"
    )
