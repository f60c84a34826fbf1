"""Settings that a person types in: pydantic models with types, defaults, bounds and help.

A plugin's settings class stands in a module that imports neither torch nor numpy, so that
validation, ``genbench info`` and ``--dry-run`` stay fast. It is the source of ``--set``, of
``genbench info NAME`` and of the stored configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from genbench.contracts import DataAccess, DataSpec
from genbench.errors import SettingError, suggest


class Settings(BaseModel):
    """The base of all settings: frozen, no unknown names, defaults checked too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_enum_values=True
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and in which portions a model trains when nobody says otherwise.

    The last stage sees ``images`` training images in all, at least ``epochs`` epochs: a small
    data set gets more epochs than a large one.
    """

    images: int = 600_000
    epochs: int = 1
    batch_size: int = 100

    def epochs_for(self, size: int) -> int:
        """Epochs over a training split of ``size`` images (0: unknown)."""
        return max(self.epochs, round(self.images / size)) if size else self.epochs


class ModelSettings(Settings):
    """The base of a model's settings."""

    training: ClassVar[Training] = Training()

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError, in one sentence, where this model can't take such data."""


class DatasetSettings(Settings):
    """The base of a data set's settings."""

    def describe(self, access: DataAccess) -> DataSpec:
        """What is known before reading. Raises DataError where the data can't be there."""
        raise NotImplementedError(f"{type(self).__name__} must describe its data set")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published setting of a model: what a document or paper used, by its name.

    ``datasets`` are those of the source; a name may stand several times for different ones.
    """

    name: str
    source: str
    datasets: tuple[str, ...] = ()
    epochs: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def validate(cls: type[Settings], values: Mapping[str, Any], *, owner: str) -> Settings:
    """Build settings from typed or typed-in values; all that is wrong in one SettingError.

    ``owner`` is what the message calls them, such as "model 'vae'".
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise SettingError("; ".join(_sentences(cls, error, owner))) from None


def _sentences(cls: type[Settings], error: ValidationError, owner: str) -> list[str]:
    sentences = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sentences.append(f"{owner} has no setting '{name}'{suggest(name, cls.model_fields)}")
        elif name:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            sentences.append(f"{owner}: setting '{name}' = {problem['input']!r}: {message}")
        else:
            sentences.append(f"{owner}: {problem['msg'].removeprefix('Value error, ')}")
    return sentences
