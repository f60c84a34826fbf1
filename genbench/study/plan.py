"""The plan of a study: every row is resolved on every data set before the first run starts.

An unknown name, a setting out of bounds or a model that doesn't fit the data is thus an error at
once, with the file and the row. torch is not imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from genbench.compare.lineage import compared_data
from genbench.contracts import DataAccess, DataSpec, SourceRun, SourceRunHead
from genbench.errors import IncompatibleError, SettingError, UsageError, suggest
from genbench.planning.compressing import compression_of
from genbench.planning.resolve import Request, can_be_drawn_from, resolve, resolve_parts
from genbench.registry import Registry
from genbench.settings import ModelSettings, validate
from genbench.spec import Part, RunSpec
from genbench.study.assignments import assignments, for_sampler
from genbench.study.file import RowEntry, SamplerEntry, StudyFile, shortened
from genbench.study.table_columns import check_columns


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """One sampler of a row; ``refused`` says why it doesn't fit the model, if it doesn't."""

    label: str
    part: Part
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row on one data set.

    ``spec`` has seed 0; if ``seconds`` are given, its epochs are not meaningful yet. ``samplings``
    are all samplers: the first one is used by the run itself, the others after it. A row on the
    latents of another one has that as its ``source``; in its ``spec`` the hash of the source's
    experiment stands for the id of a run.
    """

    row: RowEntry
    dataset: str
    spec: RunSpec
    seconds: float | None
    sets: tuple[str, ...]
    samplings: tuple[Sampling, ...]
    data: DataSpec
    source: Entry | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """'NS GAN on mnist'."""
        return f"{self.row.title} on {self.dataset}"

    @property
    def later(self) -> list[Sampling]:
        """The samplings that are evaluated after the run."""
        return [sampling for sampling in self.samplings[1:] if not sampling.refused]

    @property
    def data_settings(self) -> Mapping[str, Any]:
        """The settings of the data that the samples of this row are compared with."""
        return compared_data(
            asdict(self.spec), None if self.row.on is None else _settings_of(self.source)
        )

    @property
    def pace_key(self) -> str:
        """A hash of the settings that an epoch's duration depends on."""
        return training_key(replace(self.spec, epochs=1, seed=0, samples=None, repeats=1))


@dataclass(frozen=True)
class PlannedRun:
    """One run of the grid: an entry and a seed; ``epochs`` is None until its pace is known.

    ``source_run`` is the id of the run that has its latents, once that is finished.
    """

    entry: Entry
    seed: int
    epochs: int | None
    source_run: str | None = None

    @property
    def title(self) -> str:
        """'NS GAN on mnist, seed 0'."""
        return f"{self.entry.title}, seed {self.seed}"

    @property
    def source(self) -> PlannedRun | None:
        """The run of the same seed that has the latents this one is trained on."""
        entry = self.entry.source
        return None if entry is None else PlannedRun(entry, self.seed, entry.spec.epochs)

    @property
    def dataset(self) -> str:
        """The data set as the command line takes it; the source run must be known."""
        latents = self.source_run is not None and self.entry.row.on is not None
        return f"latents:{self.source_run}" if latents else self.entry.dataset

    @property
    def spec(self) -> RunSpec:
        """The spec of this run; its epochs and its source run must be known."""
        assert self.epochs is not None
        spec = replace(self.entry.spec, epochs=self.epochs, seed=self.seed)
        if self.source_run is None:
            return spec
        if self.entry.row.compress is not None:
            return replace(spec, parents=(self.source_run, *spec.parents[1:]))
        settings = {**spec.dataset_settings, "run": self.source_run}
        return replace(spec, dataset_settings=settings, parents=(self.source_run,))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole grid, in the order of the file."""

    path: Path
    study: StudyFile
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...]
    device: str
    narrowed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file without suffix; it is part of tags and folder names."""
        return self.path.stem

    @property
    def tag(self) -> str:
        """The tag of all runs of this study."""
        return f"study:{self.name}"


def make_plan(
    path: Path,
    study: StudyFile,
    registry: Registry,
    access: DataAccess,
    environ: Mapping[str, str],
    cwd: Path,
    *,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
    epochs: int | None = None,
    share: float = 1.0,
    epoch_images: int | None = None,
    device: str | None = None,
) -> Plan:
    """Resolve every row on every data set.

    ``seeds`` and ``only`` (titles of rows) restrict the grid of the file; ``epochs`` replaces all
    lengths in it, ``share`` multiplies the length of every stage, and ``epoch_images`` replaces the
    file's. Raises a UsageError that names file and row, or PluginError.
    """
    if epochs is not None and share != 1:
        raise UsageError("--epochs and --share both decide the length of a row; leave out one")
    study = study if epochs is None else shortened(study, epochs)
    if epoch_images is not None:
        study = study.model_copy(update={"epoch_images": epoch_images})
    _check_names(study, path, registry, only)
    wanted = {*only, *(row.source for row in study.runs if row.title in only)}
    rows = [row for row in study.runs if not only or row.title in wanted]
    entries: list[Entry] = []
    for row in rows:
        for dataset in row.datasets or study.datasets:
            with _within(path, f"[[runs]] '{row.title}' on {dataset}"):
                source = _source(row, dataset, entries)
                entries.append(
                    _entry(
                        study, row, dataset, source, registry, access, environ, cwd, device, share
                    )
                )
    _check_apart(path, entries)
    flags = {
        "--seeds": ",".join(map(str, seeds)) or None,
        "--epochs": epochs,
        "--share": None if share == 1 else f"{share:g}",
        "--epoch-images": epoch_images,
    }
    narrowed = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    return Plan(
        path=path,
        study=study,
        entries=tuple(entries),
        seeds=tuple(seeds) or study.seeds,
        device=entries[0].spec.device,
        narrowed=(*narrowed, *(f'--only "{title}"' for title in only)),
    )


def _check_names(study: StudyFile, path: Path, registry: Registry, only: Sequence[str]) -> None:
    """Raise UsageError or PluginError for a name in the file, or a title, that is not known."""
    for name in study.datasets:
        with _within(path, "datasets"):
            registry.get("dataset", name)
    for name in study.metrics or ():
        with _within(path, "metrics"):
            registry.get("metric", name)
    titles = [row.title for row in study.runs]
    for title in only:
        if title not in titles:
            raise UsageError(f"--only {title}: {path} has no such row{suggest(title, titles)}")
    check_columns(path, study, registry)


def training_key(spec: RunSpec) -> str:
    """A hash of what is trained and how many samples are scored, without device and scores."""
    bare = replace(
        spec, samplers=(), metrics=(), device="", evaluate_every=0, sample_every=0, preset=None
    )
    return bare.digest


@dataclass(frozen=True, kw_only=True)
class PlannedRuns:
    """The latents of a run that isn't trained yet, as `genbench.FinishedRuns` describes them."""

    planned: SourceRunHead

    def head(self, reference: str) -> SourceRunHead:
        """The description of the planned run, whatever the reference."""
        return self.planned

    def load(self, run: str) -> SourceRun:
        """A planned run has no weights."""
        raise NotImplementedError("a planned run can't be loaded")


def _source(row: RowEntry, dataset: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry that a row needs the runs of. Raises SettingError if there is none."""
    if row.source is None:
        return None
    found = [e for e in entries if (e.row.title, e.dataset) == (row.source, dataset)]
    if not found:
        raise SettingError(
            f"{'on' if row.on else 'compress'} = '{row.source}': that row has no run on {dataset}; "
            "add it to its datasets"
        )
    return found[0]


def _planned_runs(source: Entry, registry: Registry) -> PlannedRuns:
    """What planning needs to know of a source. Raises IncompatibleError without a latent space."""
    spec = source.spec
    settings = registry.settings("model", spec.model)
    built = validate(settings, spec.model_settings, owner=spec.model) if settings else None
    shape = built.latent_shape(source.data) if isinstance(built, ModelSettings) else None
    if not isinstance(built, ModelSettings) or shape is None:
        raise IncompatibleError(
            f"on = '{source.row.title}': model '{spec.model}' has no latent space; name a row with "
            "a model that encodes and decodes"
        )
    head = SourceRunHead(
        run=spec.experiment,
        model=spec.model,
        experiment=spec.experiment,
        data=source.data,
        latent_shape=shape,
        classes=built.latent_classes(source.data),
    )
    return PlannedRuns(planned=head)


def _entry(
    study: StudyFile,
    row: RowEntry,
    dataset: str,
    source: Entry | None,
    registry: Registry,
    access: DataAccess,
    environ: Mapping[str, str],
    cwd: Path,
    device: str | None,
    share: float,
) -> Entry:
    if row.compress is not None and source is not None:
        return _compressed(study, row, source, registry, access, share)
    length = study.length(row)
    seconds = share * length[1] if length and length[0] == "seconds" else None
    model = registry.get("model", row.model)
    first = study.samplers[0] if can_be_drawn_from(model) else None
    sets = assignments(study.sets, row.sets)
    if source is not None:
        # The data of all rows are the source's images; a row's own settings are those of latents.
        shared = {key: v for key, v in study.sets.items() if key.partition(".")[0] != "data"}
        sets = assignments(shared, row.sets)
        access = replace(access, runs=_planned_runs(source, registry))
    request = _request(study, row, dataset, source, sets, first, device)
    resolved = resolve(request, registry, access, environ, cwd)
    if share != 1:
        images = study.epoch_images or resolved.data_spec.train
        epochs, stages = _shared_out(resolved.spec, registry, images, share)
        run = request.run if seconds is not None else {**request.run, "epochs": epochs}
        request = replace(request, run=run, sets=(*request.sets, *stages))
        resolved, sets = resolve(request, registry, access, environ, cwd), (*sets, *stages)
    later = [_sampling(sampler, registry, resolved.spec) for sampler in study.samplers[1:]]
    # A model without samples is scored itself, which the store records under an empty sampler.
    own = Sampling(
        label=study.samplers[0].shown,
        part=resolved.spec.samplers[0] if first else Part(name=""),
    )
    return Entry(
        row=row,
        dataset=dataset,
        spec=replace(resolved.spec, seed=0),
        seconds=seconds,
        sets=sets,
        samplings=(own, *later),
        data=resolved.data_spec,
        source=source,
        notes=resolved.notes,
    )


def _request(
    study: StudyFile,
    row: RowEntry,
    dataset: str,
    source: Entry | None,
    sets: Sequence[str],
    sampler: SamplerEntry | None,
    device: str | None,
) -> Request:
    """A row as ``genbench run`` would be asked for it; 1 epoch if its length is in seconds."""
    unit, length = study.length(row) or ("epochs", None)
    return Request(
        model=row.model,
        dataset=dataset if source is None else f"latents:{source.spec.experiment}",
        run={
            "epochs": 1 if unit == "seconds" else length and int(length),
            "batch_size": row.batch_size or study.batch_size,
            "device": device,
            "epoch_images": study.epoch_images,
            "samples": study.samples,
            "repeats": study.repeats,
            "preset": row.preset,
            "samplers": (sampler.name,) if sampler else (),
            "metrics": study.metrics,
        },
        sets=(*sets, *(for_sampler(sampler.name, sampler.settings) if sampler else ())),
    )


def _shared_out(
    spec: RunSpec, registry: Registry, images: int, share: float
) -> tuple[int, tuple[str, ...]]:
    """A share of the epochs of a run, at least 1, and of its earlier stages as ``--set`` texts."""
    cls, texts = registry.settings("model", spec.model), list[str]()
    if cls is not None and issubclass(cls, ModelSettings):
        built = cls.model_validate(spec.model_settings).paced(images)
        texts = [f"{name}={_part(share, getattr(built, name))}" for name in cls.lengths]
    return _part(share, spec.epochs), tuple(texts)


def _part(share: float, epochs: int) -> int:
    return max(1, round(share * epochs))


def _compressed(
    study: StudyFile,
    row: RowEntry,
    source: Entry,
    registry: Registry,
    access: DataAccess,
    share: float,
) -> Entry:
    """The entry of a row that compresses another one; all but the method is that of the other."""
    shared = {k: v for k, v in study.sets.items() if k.partition(".")[0] in ("metric", "sampler")}
    sets = assignments(shared, row.sets)
    spec = compression_of(
        source.spec,
        source.spec.experiment,
        str(row.method),
        registry,
        access,
        sets=sets,
        metrics=study.metrics or (),
        epochs=row.epochs and _part(share, row.epochs),
        batch_size=row.batch_size,
    )
    return Entry(
        row=row,
        dataset=source.dataset,
        spec=replace(spec, seed=0),
        seconds=None,
        sets=sets,
        samplings=source.samplings,
        data=source.data,
        source=source,
    )


def _settings_of(source: Entry | None) -> Mapping[str, Any] | None:
    return None if source is None else source.data_settings


def _sampling(sampler: SamplerEntry, registry: Registry, spec: RunSpec) -> Sampling:
    """A further sampler; if it doesn't fit the model, it is refused with a remark."""
    sets = for_sampler(sampler.name, sampler.settings)
    try:
        [part] = resolve_parts("sampler", [sampler.name], sets, registry, spec)
    except IncompatibleError as error:
        part = Part(name=sampler.name, settings=sampler.settings)
        return Sampling(label=sampler.shown, part=part, refused=str(error))
    return Sampling(label=sampler.shown, part=part)


@contextmanager
def _within(path: Path, where: str) -> Iterator[None]:
    """Add the file and the place to the message of a UsageError."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {where}: {error}") from None


def _check_apart(path: Path, entries: Sequence[Entry]) -> None:
    """Raise SettingError for two rows that train the same thing: they would share their runs."""
    seen: dict[tuple[str, float | None], Entry] = {}
    for entry in entries:
        other = seen.setdefault((training_key(entry.spec), entry.seconds), entry)
        if other is not entry:
            raise SettingError(
                f"{path}: rows '{other.row.title}' and '{entry.row.title}' train the same thing "
                f"on {entry.dataset}; remove one of them, or change its settings"
            )
