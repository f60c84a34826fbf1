"""Settings of plugins as pydantic models with types, defaults, bounds and help texts.

A plugin's settings class is in a module that imports neither torch nor numpy, so that
validation, ``genbench info`` and ``--dry-run`` stay fast. It is the source of ``--set``, of
``genbench info NAME`` and of the stored configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from genbench.contracts import DataAccess, DataSpec
from genbench.errors import IncompatibleError, SettingError, suggest
from genbench.formatting import counted


class Settings(BaseModel):
    """The base of all settings: frozen, without unknown names, with finite numbers.

    Defaults are checked, too. A setting that may be infinite has
    ``Field(..., allow_inf_nan=True)``.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_enum_values=True,
        allow_inf_nan=False,
    )

    formerly: ClassVar[Mapping[str, Any]] = {}
    """Values for stored runs that lack a setting, since their version had a fixed value."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_is_true(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes True for 1; ``epochs = true`` in a file is a mistake."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, bool) and bool not in kinds and kinds & {int, float}:
                raise ValueError(f"it must be a number, not {str(item).lower()}")
        return value

    @field_validator("*")
    @classmethod
    def _within_64_bits(cls, value: Any) -> Any:
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, int) and abs(item) >= 2**63:
                raise ValueError("a whole number must be within 64 bits")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation names, also within unions and tuples."""
    if isinstance(annotation, type) and not get_args(annotation):
        return {annotation}
    return set[Any]().union(*map(_kinds, get_args(annotation)))


@dataclass(frozen=True, kw_only=True)
class Training:
    """The default number of epochs and batch size of a model.

    It is trained on ``images`` images in total, so that a small data set gets more epochs than a
    large one, but on at least ``epochs`` and at most ``max_epochs`` epochs. ``ema_share`` is the
    half-life of the moving average of its weights, as a share of the steps of the last stage (None:
    weights are not averaged).
    """

    images: int = 600_000
    epochs: int = 1
    max_epochs: int = 300
    batch_size: int = 100
    ema_share: float | None = None

    def ema_for(self, steps: int) -> float | None:
        """The decay of the moving average over so many steps.

        >>> Training(ema_share=0.05).ema_for(10_000)
        0.998615
        """
        if self.ema_share is None:
            return None
        return round(math.exp2(-1 / max(1.0, self.ema_share * steps)), 6)

    def epochs_for(self, size: int) -> int:
        """Epochs over a training split of ``size`` images (0: unknown)."""
        wanted = round(self.images / size) if size else self.epochs
        return max(self.epochs, min(wanted, self.max_epochs))


class _OfDrawing:
    """The type of `OF_DRAWING`."""

    def __repr__(self) -> str:
        return "OF_DRAWING"


OF_DRAWING = _OfDrawing()
"""Marks a field of a model's settings that affects how samples are drawn, but no weight.

``steps: Annotated[int, genbench.OF_DRAWING] = Field(50, ge=1)``: `genbench sample` and `evaluate`
accept another value of it for a trained run, and its scores are stored under that value.
"""


def drawing_settings(cls: type[Settings]) -> tuple[str, ...]:
    """The names of the fields of a class that are marked as `OF_DRAWING`."""
    return tuple(
        name
        for name, info in cls.model_fields.items()
        if any(mark is OF_DRAWING for mark in info.metadata)
    )


class ModelSettings(Settings):
    """The base of a model's settings."""

    training: ClassVar[Training] = Training()
    widths: ClassVar[tuple[str, ...]] = ()
    """The settings that are widths or channels of the networks that make samples."""
    lengths: ClassVar[tuple[str, ...]] = ()
    """The settings that are the epochs of stages before the last one."""

    def narrowed(self, width: float) -> Self:
        """These settings with ``widths`` scaled by ``width``, rounded, at least 1; None is kept.

        Raises IncompatibleError if the model has no such settings.
        """
        if width == 1:
            return self
        if not self.widths:
            raise IncompatibleError(
                f"{type(self).__name__} declares no widths, so no student of another width can be "
                "derived from it; set width=1 and the student's sizes with --set model.KEY=VALUE"
            )
        given = {name: getattr(self, name) for name in self.widths}
        scaled = {name: _scaled(value, width) for name, value in given.items() if value}
        return self.model_copy(update=scaled)

    def fitted(self, data: DataSpec) -> Self:
        """These settings with all values filled in that depend on the data, as stored and built."""
        return self

    def paced(self, images: int) -> Self:
        """These settings for a run with epochs of ``images`` images instead of all images.

        A stage that has its own default number of epochs gets proportionally more of them.
        """
        return self

    def training_on(self, data: DataSpec) -> Training:
        """The default number of epochs and batch size of this model on such data."""
        return type(self).training

    def latent_shape(self, data: DataSpec) -> tuple[int, ...] | None:
        """The shape of the codes that the model encodes to and decodes, without the batch.

        None if it doesn't do both. `genbench run MODEL latents:RUN` needs it.
        """
        return None

    def latent_classes(self, data: DataSpec) -> int | None:
        """The number of classes if codes are decoded together with a label, else None."""
        return None

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if this model can't be trained on such data."""


def _scaled(value: int | tuple[int, ...], width: float) -> int | tuple[int, ...]:
    if isinstance(value, int):
        return max(1, round(value * width))
    return tuple(max(1, round(each * width)) for each in value)


class DatasetSettings(Settings):
    """The base of a data set's settings.

    ``argument`` names the setting that the text after a colon sets: with "path",
    ``image-folder:faces`` is ``image-folder --set data.path=faces``.
    """

    argument: ClassVar[str | None] = None

    def fitted(self, access: DataAccess) -> Self:
        """These settings with all open values filled in, as stored and loaded."""
        return self

    def parents(self) -> tuple[str, ...]:
        """The ids of the runs that this data is made of."""
        return ()

    def describe(self, access: DataAccess) -> DataSpec:
        """Describe the data without reading it. Raises DataError if it can't be available."""
        raise NotImplementedError(f"{type(self).__name__} must describe its data set")

    def missing(self, access: DataAccess) -> str | None:
        """A description of the files that this machine lacks; None if nothing is missing."""
        return None


class CompressorSettings(Settings):
    """The base of a compressor's settings.

    With ``student``, the compressed model starts from its own initial weights, and its settings may
    describe other networks than those of the parent (``--set model.KEY=VALUE``); otherwise it
    starts as its parent. By default, it is trained for the ``share`` of the parent's epochs. A
    setting ``ratio`` is part of the labels in comparisons.
    """

    student: ClassVar[bool] = False
    share: ClassVar[float] = 0.25

    def student_of(self, teacher: ModelSettings) -> ModelSettings:
        """The settings of a student, from those of the parent; ``--set model`` changes them."""
        return teacher


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Named settings of a model from a paper or another document.

    ``datasets`` are those of the source. Several presets may share a name, for different data sets.
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


@dataclass(frozen=True, kw_only=True)
class SettingInfo:
    """The description of a setting, for ``genbench info``; a required one has ``default`` None.

    ``of_drawing``: `genbench sample` and `evaluate` also take it for a trained run.
    """

    name: str
    type: str
    default: Any
    required: bool
    bounds: str
    help: str
    of_drawing: bool


def describe_settings(cls: type[Settings]) -> tuple[SettingInfo, ...]:
    """The settings of a class in the order of their definition."""
    of_drawing = drawing_settings(cls)
    return tuple(
        SettingInfo(
            name=name,
            type=_type_name(info.annotation),
            default=None if info.is_required() else info.get_default(call_default_factory=True),
            required=info.is_required(),
            bounds=_bounds(info),
            help=info.description or "",
            of_drawing=name in of_drawing,
        )
        for name, info in cls.model_fields.items()
    )


def validate(
    cls: type[Settings],
    values: Mapping[str, Any],
    *,
    owner: str,
    sources: Mapping[str, str] | None = None,
) -> Settings:
    """Build settings from values. Raises one SettingError with all problems.

    ``owner`` names the settings in messages, such as "model 'vae'"; ``sources`` maps names to the
    origins of their values ("genbench.toml", "--set").
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise SettingError("; ".join(_sentences(cls, error, owner, sources or {}))) from None


def validate_stored(cls: type[Settings], values: Mapping[str, Any], *, owner: str) -> Settings:
    """`validate` the settings of a stored run, which may be older than one of its settings."""
    return validate(cls, {**cls.formerly, **values}, owner=owner)


def _sentences(
    cls: type[Settings], error: ValidationError, owner: str, sources: Mapping[str, str]
) -> list[str]:
    sentences = []
    for problem in causes(error):
        name = ".".join(str(part) for part in problem["loc"])
        source = sources.get(str(problem["loc"][0])) if problem["loc"] else None
        origin = f" (from {source})" if source else ""
        message = expectation(problem)
        if problem["type"] == "extra_forbidden":
            hint = suggest(name, cls.model_fields)
            sentences.append(f"{owner} has no setting '{name}'{origin}{hint}")
        elif problem["type"] == "missing":
            sentences.append(f"{owner} needs the setting '{name}': {_how_to_give(cls, name)}")
        elif name:
            given = repr(problem["input"])
            sentences.append(f"{owner}: setting '{name}' = {given}{origin}: {message}")
        else:
            sentences.append(f"{owner}: {message}")
    return sentences


def _how_to_give(cls: type[Settings], name: str) -> str:
    if not issubclass(cls, DatasetSettings):
        return f"--set {name}=..."
    first = "give it after the name and a colon, or " if cls.argument == name else ""
    return f"{first}--set data.{name}=..."


def causes(error: ValidationError) -> list[ErrorDetails]:
    """The problems of a validation, without those that follow from others.

    A tuple without its invalid entries is too short as well.
    """
    found = error.errors()

    def follows(problem: ErrorDetails) -> bool:
        place = problem["loc"]
        return problem["type"] == "too_short" and any(
            other["loc"][: len(place)] == place for other in found if other is not problem
        )

    return [problem for problem in found if not follows(problem)]


def expectation(problem: ErrorDetails) -> str:
    """What a value must be, as a clause: "it must be at least 1"; a validator's own words."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return f"it must be {context['expected']}"
    if kind == "finite_number":
        return "it must be finite"
    for name, words in _LIMITS.items():
        if name in context:
            return f"it must be {words} {context[name]:,}"
    for name, words in _LENGTHS.items():
        if name in context:
            unit = "character" if kind.startswith("string") else "value"
            return f"it must have {words} {counted(context[name], unit)}"
    expected = _KINDS.get(kind.partition("_")[0])
    if expected is not None and kind != "value_error":
        return f"it must be {expected}"
    message = problem["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


_LIMITS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "multiple_of": "a multiple of",
}
_LENGTHS = {"min_length": "at least", "max_length": "at most"}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "model": "a table",
}
"""The types of errors of pydantic begin with one of these words."""


def _type_name(annotation: Any) -> str:
    """An annotation in words: 'int', 'float or none', 'bce | mse', 'list of int'."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (Union, UnionType):
        words = [_type_name(a) for a in arguments if a is not NoneType]
        return " or ".join([*words, "none"] if NoneType in arguments else words)
    if origin in (list, tuple):
        items = [_type_name(a) for a in arguments if a is not Ellipsis]
        same = len(set(items)) == 1
        count = f"{len(items)} " if same and origin is tuple and Ellipsis not in arguments else ""
        return f"list of {count}{items[0] if same else ', '.join(items)}"
    if hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    return {"str": "text", "Path": "path"}.get(
        name := getattr(annotation, "__name__", str(annotation)), name
    )


_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of"}


def _bounds(info: FieldInfo) -> str:
    found = [
        f"{sign} {getattr(bound, attribute)}"
        for bound in info.metadata
        for attribute, sign in _SIGNS.items()
        if getattr(bound, attribute, None) is not None
    ]
    return ", ".join(found)
