"""The domains that samples are translated into: a class, or attributes with the rest kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genbench.contracts import DataSpec
from genbench.errors import UsageError, suggest
from genbench.pictures.classes import class_name, class_of

MOST = 12
"""The number of classes that are shown if none is named."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a sample is translated into, as a function of its own class: (own & keep | on) ^ flip.

    For a class, ``on`` is its number and nothing of the own class is kept. For attributes, these
    are binary digits (see `genbench.DataSpec`).
    """

    name: str
    keep: int = 0
    on: int = 0
    flip: int = 0


def domains_of(texts: Sequence[str], option: str, data: DataSpec) -> list[Domain]:
    """The domains that were typed in: classes by number or name, or attributes.

    ``Blond_Hair`` sets an attribute and ``not Male`` removes one; several are separated by commas,
    and all others are as in the sample. Without texts, all classes (at most `MOST`), or the
    opposite of each attribute. Raises UsageError with the names that there are.
    """
    if not texts:
        return _usual(data)
    return [_domain(text, option, data) for text in texts]


def _usual(data: DataSpec) -> list[Domain]:
    everything = (data.classes or 0) - 1
    if data.attributes:
        return [
            Domain(name=f"opposite {name}", keep=everything, flip=bit)
            for name, bit in _bits(data).items()
        ]
    numbers = range(min(data.classes or 0, MOST))
    return [Domain(name=class_name(number, data), on=number) for number in numbers]


def _domain(text: str, option: str, data: DataSpec) -> Domain:
    named = text.strip().lower() in [name.lower() for name in data.class_names]
    if not data.attributes or text.strip().isdecimal() or named:
        number = class_of(text, option, data)
        return Domain(name=class_name(number, data), on=number)
    bits = {_plain(name): bit for name, bit in _bits(data).items()}
    asked: dict[int, bool] = {}
    for part in text.split(","):
        name = _plain(part)
        bare = name.removeprefix("not ")
        if bare not in bits:
            raise UsageError(
                f"{option} {text}: '{data.name}' has no attribute '{bare}'{suggest(bare, bits)}"
            )
        asked[bits[bare]] = bare == name
    touched = sum(asked)
    on = sum(bit for bit, wanted in asked.items() if wanted)
    return Domain(name=text.strip(), keep=((data.classes or 0) - 1) & ~touched, on=on)


def _bits(data: DataSpec) -> dict[str, int]:
    """The binary digit of each attribute, the highest for the first."""
    count = len(data.attributes)
    return {name: 1 << (count - 1 - place) for place, name in enumerate(data.attributes)}


def _plain(text: str) -> str:
    return text.strip().lower().replace("_", " ")
