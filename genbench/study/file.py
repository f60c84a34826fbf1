"""A study as a person writes it: one TOML file, checked before anything runs.

Every complaint is one sentence that names the file, the table, the key and the fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from genbench.errors import SettingError, suggest
from genbench.files.toml import read_toml
from genbench.settings import Settings
from genbench.spec import MOST, MOST_REPEATS, MOST_SEED

Names = tuple[str, ...]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class SamplerEntry(Settings):
    """One way of drawing samples; two entries of one sampler differ by their settings."""

    name: str = Field(description="see: genbench samplers")
    label: str | None = Field(default=None, description="what the table calls it")
    settings: dict[str, Any] = Field(default_factory=dict, description="of the sampler")

    @property
    def shown(self) -> str:
        """'plain', 'DRS 95 %', or 'drs (percentile=95)' where there is no label."""
        text = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return self.label or (f"{self.name} ({text})" if text else self.name)


def _entry(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class RowEntry(Settings):
    """One row of the tables: a model with its settings; what it leaves out is the study's."""

    model: str = Field(description="see: genbench models")
    name: str | None = Field(
        default=None, description="what the table calls it; default: the model"
    )
    preset: str | None = Field(default=None, description="a published setting of the model")
    datasets: Names | None = Field(default=None, min_length=1, description="instead of the study's")
    seconds: Seconds | None = Field(default=None, description="of training; instead of the study's")
    epochs: int | None = Field(
        default=None, ge=1, le=MOST, description="of the last stage; instead of seconds"
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=MOST, description="images an optimizer step"
    )
    sets: dict[str, Any] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("set"),
        description="settings, as --set takes them",
    )
    note: str = Field(default="", description="said beneath the table")

    @property
    def title(self) -> str:
        """What the table calls the row."""
        return self.name or self.model


class TableEntry(Settings):
    """What the tables show."""

    columns: Names | None = Field(
        default=None, min_length=1, description="default: metrics, seconds"
    )
    sort_by: str | None = Field(
        default=None, description="a metric, s/epoch or train_s; else file order"
    )
    published: dict[str, str] = Field(
        default_factory=dict, description='"row", "row, sampler" or "row on data set" -> published'
    )
    published_title: str = Field(default="published", description="the heading of that column")


class FigureEntry(Settings):
    """One figure of the page: a picture of each of some rows, or one of all of them."""

    title: str = Field(min_length=1)
    about: str = Field(default="", description="a sentence or two beneath the title")
    command: Literal["sample", "interpolate", "traverse", "latents", "reconstruct", "curves"]
    rows: Names | None = Field(default=None, min_length=1, description="default: all rows")
    together: bool = Field(
        default=False, description="one picture of all rows of a data set (curves)"
    )
    options: dict[str, bool | int | float | str | list[int | float | str]] = Field(
        default_factory=dict, description="flags of the command: true, a value, or a list of them"
    )

    def shows(self, row: str) -> bool:
        """Whether a row is in this figure."""
        return self.rows is None or row in self.rows

    @property
    def flags(self) -> tuple[str, ...]:
        """The options as words of a command line."""
        words: list[str] = []
        for name, given in self.options.items():
            for value in given if isinstance(given, list) else [given]:
                if value is False:
                    continue
                words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return tuple(words)

    @property
    def needs_weights(self) -> bool:
        """Whether the command loads the model; curves come from the store alone."""
        return self.command != "curves"

    @property
    def suffix(self) -> str:
        """Of its pictures' files."""
        return ".svg" if self.command == "curves" else ".png"


class StudyFile(Settings):
    """The whole file."""

    title: str = Field(min_length=1)
    about: str = Field(default="", description="a sentence or two above the tables")
    datasets: Names = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1)
    seconds: Seconds | None = Field(default=None, description="of training that each run gets")
    epochs: int | None = Field(
        default=None, ge=1, le=MOST, description="of the last stage, instead of seconds"
    )
    batch_size: int | None = Field(default=None, ge=1, le=MOST)
    epoch_images: int | None = Field(
        default=None,
        ge=1,
        le=2**53,
        description="training images an epoch goes through; default: all",
    )
    threads: int = Field(1, ge=1, le=1024, description="of torch in each run")
    samples: int | None = Field(default=None, ge=2, le=MOST, description="samples scored")
    repeats: int | None = Field(
        default=None, ge=1, le=MOST_REPEATS, description="draws that a score is the mean of"
    )
    metrics: Names | None = Field(
        default=None, min_length=1, description="default: the model's own"
    )
    samplers: tuple[Annotated[SamplerEntry, BeforeValidator(_entry)], ...] = Field(
        (SamplerEntry(name="plain"),), min_length=1
    )
    sets: dict[str, Any] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("set"),
        description="settings of all runs, as --set takes them",
    )
    runs: tuple[RowEntry, ...] = Field(min_length=1)
    table: TableEntry = TableEntry()
    figures: tuple[FigureEntry, ...] = ()

    def length(self, row: RowEntry) -> tuple[Literal["seconds", "epochs"], float] | None:
        """How long a row trains: its own word, else the study's, else None (the model's)."""
        for source in (row, self):
            if source.seconds is not None:
                return "seconds", source.seconds
            if source.epochs is not None:
                return "epochs", source.epochs
        return None


def shortened(study: StudyFile, epochs: int) -> StudyFile:
    """The study with so many epochs of the last stage for every row, whatever the file says."""
    rows = tuple(row.model_copy(update={"epochs": None, "seconds": None}) for row in study.runs)
    return study.model_copy(update={"epochs": epochs, "seconds": None, "runs": rows})


def read_study(path: Path) -> StudyFile:
    """Read and check a file by itself. Raises UsageError or SettingError, one sentence each."""
    values = read_toml(path, "the study")
    try:
        study = StudyFile.model_validate(values)
    except ValidationError as error:
        sentences = [_sentence(problem, values) for problem in error.errors()]
        raise SettingError(f"{path}: {'; '.join(dict.fromkeys(sentences))}") from None
    _check(study, path)
    return study


def _check(study: StudyFile, path: Path) -> None:
    """What holds between keys: one length, names that tell rows and samplers apart."""
    lengths: list[tuple[str, StudyFile | RowEntry]] = [("", study)]
    lengths += [(_row_words(index, row), row) for index, row in enumerate(study.runs)]
    for where, source in lengths:
        if source.seconds is not None and source.epochs is not None:
            raise SettingError(
                f"{path}: {where}seconds and epochs are both given; a run has one length, so "
                "remove one of them"
            )
    titles = [row.title for row in study.runs]
    for title in _twice(titles):
        raise SettingError(f"{path}: two [[runs]] are called '{title}'; give one a name = \"...\"")
    for shown in _twice([sampler.shown for sampler in study.samplers]):
        raise SettingError(
            f"{path}: two samplers are called '{shown}'; give them a label, or other settings"
        )
    lists: list[tuple[str, Sequence[Any]]] = [("datasets", study.datasets), ("seeds", study.seeds)]
    lists += [("metrics", study.metrics or ())]
    for key, values in lists:
        for value in _twice(values):
            raise SettingError(f"{path}: {key} has {value!r} twice; remove one")
    drawn = [f"{title}, {sampler.shown}" for title in titles for sampler in study.samplers]
    drawn += [f"{title} on {dataset}" for title in titles for dataset in study.datasets]
    for index, figure in enumerate(study.figures):
        _check_figure(index, figure, titles, path)
    for name in study.table.published:
        if name not in titles and name not in drawn:
            raise SettingError(
                f"{path}: [table.published]: no row is called '{name}'"
                f"{suggest(name, [*titles, *drawn])}"
            )


def _check_figure(index: int, figure: FigureEntry, titles: Sequence[str], path: Path) -> None:
    where = f"{path}: [[figures]] {index + 1} ('{figure.title}'): "
    for name in figure.rows or ():
        if name not in titles:
            raise SettingError(f"{where}no row is called '{name}'{suggest(name, titles)}")
    if figure.together and figure.command != "curves":
        raise SettingError(
            f'{where}together is for command = "curves"; {figure.command} draws one run a picture'
        )


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _sentence(problem: ErrorDetails, values: Mapping[str, Any]) -> str:
    """One complaint of pydantic in words, with the table in which its key stands."""
    loc = [part for part in problem["loc"] if part != "set"]
    where, cls = _table_of(loc, values)
    key = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int)) or "the file"
    key = key.rpartition(".")[2]
    if problem["type"] == "extra_forbidden":
        known = {_key(name) for name in cls.model_fields}
        return f"{where}unknown key '{key}'{suggest(key, known)}"
    if problem["type"] == "missing":
        return f"{where}the key '{key}' is missing; add {key} = ..."
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}{key} = {problem['input']!r}: {message[:1].lower()}{message[1:]}"


def _table_of(loc: Sequence[str | int], values: Mapping[str, Any]) -> tuple[str, type[Settings]]:
    """The words for the table that a place is in, and the class that knows its keys."""
    match loc:
        case ["runs", int(index), *_]:
            return _row_words(index, values["runs"][index]), RowEntry
        case ["samplers", int(index), _, *_]:
            return f"samplers, entry {index + 1}: ", SamplerEntry
        case ["figures", int(index), *_]:
            return f"[[figures]] {index + 1}: ", FigureEntry
        case ["table", _, *_]:
            return "[table]: ", TableEntry
    return "", StudyFile


def _row_words(index: int, row: Mapping[str, Any] | RowEntry) -> str:
    """'[[runs]] 2 ('NS GAN'): '."""
    known = row if isinstance(row, Mapping) else dict(row)
    name = known.get("name") or known.get("model")
    return f"[[runs]] {index + 1}{f' ({name!r})' if name else ''}: "


def _key(field: str) -> str:
    """A field's name in the file."""
    return "set" if field == "sets" else field
