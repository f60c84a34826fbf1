"""The study file in TOML, checked before anything runs.

Every error message is one sentence that names the file, the table, the key and the fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from genbench.errors import SettingError, suggest
from genbench.files.toml import read_toml
from genbench.planning.toml_plan import value_of
from genbench.settings import Settings, causes, expectation
from genbench.spec import MOST, MOST_REPEATS, MOST_SEED
from genbench.study.assignments import words

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class SamplerEntry(Settings):
    """One sampler with its settings; two entries of one sampler differ by their settings."""

    name: str = Field(description="name of the sampler; see: genbench samplers")
    label: str | None = Field(default=None, description="label in the tables")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the sampler")

    @property
    def shown(self) -> str:
        """The label, 'DRS 95 %', or else the name with the settings, 'drs (percentile=95)'."""
        text = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return self.label or (f"{self.name} ({text})" if text else self.name)


def _entry(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class RowEntry(Settings):
    """One row of the tables: a model with its settings; other values default to the study's."""

    model: str = Field(description="name of the model; see: genbench models")
    name: str | None = Field(default=None, description="title in the tables; default: the model")
    preset: str | None = Field(default=None, description="preset of the model")
    datasets: Names | None = Field(default=None, description="data sets; default: the study's")
    on: str | None = Field(
        default=None,
        description="title of the row with the latents to train on, at the same seed",
    )
    compress: str | None = Field(
        default=None,
        description="title of the row to compress, at the same seed",
    )
    method: str | None = Field(
        default=None, description="how it compresses them; see: genbench compressors"
    )
    seconds: Seconds | None = Field(
        default=None, description="seconds of training; default: the study's"
    )
    epochs: Count | None = Field(
        default=None, description="epochs of the last stage, instead of seconds"
    )
    batch_size: Count | None = Field(default=None, description="images per optimizer step")
    sets: dict[str, Any] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("set"),
        description="settings of this row, as for --set",
    )
    note: str = Field(default="", description="remark below the tables")

    @property
    def source(self) -> str | None:
        """The title of the row that this row needs the runs of, if any."""
        return self.on or self.compress

    @property
    def title(self) -> str:
        """The title of the row in the tables."""
        return self.name or self.model


class MethodEntry(Settings):
    """One method of compression with its settings."""

    name: str = Field(description="name of the compressor; see: genbench compressors")
    label: str | None = Field(default=None, description="label in the titles of its rows")
    settings: dict[str, Any] = Field(default_factory=dict, description="its settings")


class CompressEntry(Settings):
    """Rows that compress other rows: by each method, to each ratio."""

    rows: Names = Field(description="titles of the rows that are compressed")
    methods: tuple[Annotated[MethodEntry, BeforeValidator(_entry)], ...] = Field(min_length=1)
    ratios: tuple[float, ...] | None = Field(
        default=None, min_length=1, description="shares to remove; default: the method's"
    )
    epochs: Count | None = Field(default=None, description="epochs; default: the method's")

    def expanded(self, rows: Mapping[str, RowEntry]) -> list[RowEntry]:
        """The rows for the tables: 'dcgan, prune 50 %'."""
        return [
            RowEntry.model_validate(
                {
                    "model": rows[title].model,
                    "name": f"{title}, {method.label or method.name}{_percent(ratio)}",
                    "datasets": rows[title].datasets,
                    "compress": title,
                    "method": method.name,
                    "epochs": self.epochs,
                    "set": {**method.settings, **({} if ratio is None else {"ratio": ratio})},
                }
            )
            for title in self.rows
            for method in self.methods
            for ratio in self.ratios or (None,)
        ]


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f" {100 * ratio:g} %"


class TableEntry(Settings):
    """The columns and the order of the tables."""

    columns: Names | None = Field(
        default=None, description="columns; default: all metrics, and seconds"
    )
    sort_by: str | None = Field(
        default=None, description="a metric, s/epoch or train_s; default: the order of the file"
    )
    target: float | None = Field(
        default=None, description="value of the first metric in columns, for the column target_s"
    )
    published: dict[str, str] = Field(
        default_factory=dict,
        description='published values, for "row", "row, sampler" or "row on data set"',
    )
    published_title: str = Field(
        default="published", description="heading of the column with published values"
    )


def _option(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, (bool, int, float, str)) for item in values):
        raise ValueError("an option is true, a value, or a list of values")
    return value


class FigureEntry(Settings):
    """One figure of the page: a picture for each of its rows, or one picture of all of them."""

    title: str = Field(min_length=1)
    about: str = Field(default="", description="one or two sentences below the title")
    command: Literal[
        "sample",
        "interpolate",
        "traverse",
        "latents",
        "reconstruct",
        "translate",
        "curves",
        "animate",
    ]
    rows: Names | None = Field(default=None, description="rows to show; default: all rows")
    together: bool = Field(
        default=False, description="draw one picture of all rows per data set (curves only)"
    )
    options: dict[str, Annotated[Any, AfterValidator(_option)]] = Field(
        default_factory=dict,
        description="options of the command: true, a value, or a list of values",
    )

    def shows(self, row: str) -> bool:
        """Whether the figure shows this row."""
        return self.rows is None or row in self.rows

    @property
    def flags(self) -> tuple[str, ...]:
        """The options as words of a command line."""
        return words({"together": self.together, **self.options})


class ClaimEntry(Settings):
    """A claim of a document: one row is lower or higher than another one in a column."""

    text: str = Field(min_length=1, description="the claim, as a sentence")
    row: str = Field(description="title of the row that the claim is about")
    over: str = Field(description="title of the row that it is compared with")
    metric: str = Field(description="column of the tables: a score, s/epoch, train_s, ...")
    direction: Literal["lower", "higher"] = Field(
        description="whether the row's values are lower or higher than the other's"
    )
    sampler: str | None = Field(default=None, description="sampler of the row, by its label")
    over_sampler: str | None = Field(default=None, description="sampler of the other row")
    datasets: Names | None = Field(default=None, description="data sets; default: the study's")


class StudyFile(Settings):
    """The whole file."""

    title: str = Field(min_length=1)
    about: str = Field(default="", description="one or two sentences above the tables")
    datasets: Names
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1)
    seconds: Seconds | None = Field(default=None, description="seconds of training per run")
    epochs: Count | None = Field(
        default=None, description="epochs of the last stage, instead of seconds"
    )
    batch_size: Count | None = None
    epoch_images: int | None = Field(
        default=None, ge=1, le=2**53, description="training images per epoch; default: all"
    )
    threads: int = Field(1, ge=1, le=1024, description="torch threads per run")
    together: bool = Field(
        True,
        description="train the seeds of a row at once, where a trial shows that this is faster",
    )
    samples: int | None = Field(
        default=None, ge=2, le=MOST, description="number of samples that are scored"
    )
    repeats: int | None = Field(
        default=None, ge=1, le=MOST_REPEATS, description="repeats that a score is averaged over"
    )
    metrics: Names | None = Field(default=None, description="metrics; default: the model's")
    samplers: tuple[Annotated[SamplerEntry, BeforeValidator(_entry)], ...] = Field(
        (SamplerEntry(name="plain"),), min_length=1
    )
    sets: dict[str, Any] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("set"),
        description="settings of all runs, as for --set",
    )
    runs: tuple[RowEntry, ...] = Field(min_length=1)
    compress: tuple[CompressEntry, ...] = ()
    table: TableEntry = TableEntry()
    figures: tuple[FigureEntry, ...] = ()
    claims: tuple[ClaimEntry, ...] = ()

    def length(self, row: RowEntry) -> tuple[Literal["seconds", "epochs"], float] | None:
        """The length of a row: its own, else the study's, else None (the model's default)."""
        for source in (row, self):
            if source.seconds is not None:
                return "seconds", source.seconds
            if source.epochs is not None:
                return "epochs", source.epochs
        return None


def shortened(study: StudyFile, epochs: int) -> StudyFile:
    """The study with ``epochs`` epochs of the last stage for every row."""
    rows = tuple(row.model_copy(update={"epochs": None, "seconds": None}) for row in study.runs)
    return study.model_copy(update={"epochs": epochs, "seconds": None, "runs": rows})


def read_study(path: Path) -> StudyFile:
    """Read and check a study file. Raises UsageError or SettingError."""
    values = read_toml(path, "the study")
    try:
        study = StudyFile.model_validate(values)
    except ValidationError as error:
        sentences = [_sentence(problem, values) for problem in causes(error)]
        raise SettingError(f"{path}: {'; '.join(dict.fromkeys(sentences))}") from None
    study = _with_compressed(study, path)
    _check(study, path)
    return study


def _with_compressed(study: StudyFile, path: Path) -> StudyFile:
    """The study with a row for each method and ratio of its [[compress]] tables."""
    rows = {row.title: row for row in study.runs}
    for index, entry in enumerate(study.compress):
        for title in entry.rows:
            if title not in rows:
                raise SettingError(
                    f"{path}: [[compress]] {index + 1}: no row is called '{title}'"
                    f"{suggest(title, rows)}"
                )
    made = [row for entry in study.compress for row in entry.expanded(rows)]
    return study.model_copy(update={"runs": (*study.runs, *made)})


def _check(study: StudyFile, path: Path) -> None:
    """Check conditions between keys: a single length, and unique names of rows and samplers."""
    lengths: list[tuple[str, StudyFile | RowEntry]] = [("", study)]
    lengths += [(_row_words(index, row), row) for index, row in enumerate(study.runs)]
    for where, source in lengths:
        if source.seconds is not None and source.epochs is not None:
            raise SettingError(
                f"{path}: {where}seconds and epochs are both given, but a run has one length; "
                "remove one of them"
            )
    titles = [row.title for row in study.runs]
    for title in _twice(titles):
        raise SettingError(f"{path}: two [[runs]] are called '{title}'; give one a name = \"...\"")
    for index, row in enumerate(study.runs):
        _check_source(index, row, study, path)
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
    for index, claim in enumerate(study.claims):
        _check_claim(index, claim, study, path)
    for name in study.table.published:
        if name not in titles and name not in drawn:
            raise SettingError(
                f"{path}: [table.published]: no row is called '{name}'"
                f"{suggest(name, [*titles, *drawn])}"
            )


def _check_source(index: int, row: RowEntry, study: StudyFile, path: Path) -> None:
    """Check the row that this row needs the runs of: it comes first, and has epochs."""
    if (row.compress is None) != (row.method is None) or (row.on and row.compress):
        raise SettingError(
            f"{path}: {_row_words(index, row)}a row that compresses another one needs compress = "
            '"row" and method, and takes no on'
        )
    if row.source is None:
        return
    key = "on" if row.on else "compress"
    where = f"{path}: {_row_words(index, row)}{key} = '{row.source}': "
    earlier = {other.title: other for other in study.runs[:index]}
    if row.source not in earlier:
        raise SettingError(f"{where}no row above has this title{suggest(row.source, earlier)}")
    for one in (row, earlier[row.source]):
        if (study.length(one) or ("epochs", 1))[0] == "seconds":
            raise SettingError(
                f"{where}a pilot has no such run to build on; give both rows epochs instead of "
                "seconds"
            )


def _check_figure(index: int, figure: FigureEntry, titles: Sequence[str], path: Path) -> None:
    where = f"{path}: [[figures]] {index + 1} ('{figure.title}'): "
    for name in figure.rows or ():
        if name not in titles:
            raise SettingError(f"{where}no row is called '{name}'{suggest(name, titles)}")
    if figure.together and figure.command != "curves":
        raise SettingError(
            f'{where}together needs command = "curves"; {figure.command} draws one run per picture'
        )


def _check_claim(index: int, claim: ClaimEntry, study: StudyFile, path: Path) -> None:
    where = f"{path}: [[claims]] {index + 1}: "
    titles = [row.title for row in study.runs]
    shown = [sampler.shown for sampler in study.samplers]
    names: list[tuple[str | None, str, Sequence[str]]] = [
        *((name, "row", titles) for name in (claim.row, claim.over)),
        *((name, "sampler", shown) for name in (claim.sampler, claim.over_sampler) if name),
    ]
    if study.table.columns is not None:
        names.append((claim.metric, "column", study.table.columns))
    for name, kind, known in names:
        if name not in known:
            raise SettingError(f"{where}no {kind} is called '{name}'{suggest(str(name), known)}")
    if (claim.row, claim.sampler) == (claim.over, claim.over_sampler):
        raise SettingError(f"{where}row and over are the same; name two rows, or two samplers")


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _sentence(problem: ErrorDetails, values: Mapping[str, Any]) -> str:
    """One error of pydantic as a sentence that names the table of its key."""
    where, cls, place = _table_of(problem["loc"], values)
    entry = f", entry {place[-1] + 1}" if place and isinstance(place[-1], int) else ""
    key = ".".join(str(part) for part in place if isinstance(part, str))
    if problem["type"] == "extra_forbidden":
        known = {_key(name) for name in cls.model_fields}
        return f"{where}unknown key '{key}'{suggest(key, known)}"
    if problem["type"] == "missing":
        return f"{where}the key '{key}' is missing; add {key} = ..."
    if problem["type"] == "tuple_type" and isinstance(problem["input"], Mapping):
        return f"{where}[{key}] is a list of tables; write [[{key}]], with double brackets"
    given = f"{key}{entry} = {value_of(problem['input'])}" if key else value_of(problem["input"])
    return f"{where}{given}: {expectation(problem)}"


Place = Sequence[str | int]
"""The keys and indices that lead to a value."""


def _table_of(place: Place, values: Mapping[str, Any]) -> tuple[str, type[Settings], Place]:
    """The name of the table that a value is in, the class with its keys, and the place in it."""
    match place:
        case ["runs", int(index), *rest]:
            return _row_words(index, values["runs"][index]), RowEntry, rest
        case ["compress", int(index), *rest]:
            return f"[[compress]] {index + 1}: ", CompressEntry, rest
        case ["samplers", int(index), *rest]:
            return f"samplers, entry {index + 1}: ", SamplerEntry, rest
        case ["figures", int(index), *rest]:
            return f"[[figures]] {index + 1}: ", FigureEntry, rest
        case ["claims", int(index), *rest]:
            return f"[[claims]] {index + 1}: ", ClaimEntry, rest
        case ["table", str(key), *rest]:
            return "[table]: ", TableEntry, [key, *rest]
    return "", StudyFile, place


def _row_words(index: int, row: Any) -> str:
    """'[[runs]] 2 ('NS GAN'): '."""
    known = dict(row) if isinstance(row, (Mapping, RowEntry)) else {}
    name = known.get("name") or known.get("model")
    return f"[[runs]] {index + 1}{f' ({name!r})' if name else ''}: "


def _key(field: str) -> str:
    """The name of a field in the file."""
    return "set" if field == "sets" else field
