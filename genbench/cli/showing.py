"""``show``: all that is stored of one run; ``diff``: in what two runs differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.opening import age, compressed_by, head, open_store, ratio_to_floor
from genbench.cli.options import FormatOption, JsonOption, RunArgument, StoreOption
from genbench.cli.output import Format, print_json, print_table
from genbench.cli.session import SESSION, answer
from genbench.errors import GenbenchError
from genbench.events import NO_GRAPHS
from genbench.formatting import counted, duration, in_words, number, plain, spans
from genbench.spec import Part, RunSpec, labels

if TYPE_CHECKING:
    from genbench.registry import Kind
    from genbench.settings import Settings
    from genbench.store import Store
    from genbench.store.records import Epoch, Run, ScoreRecord, StageRecord


_MEASURED = ("score", "std", "draws", "n", "floor", "× floor")
_SCORES = ("metric", *_MEASURED, "sampler", "seed", "epoch", "seconds", "role")
_NUMBERS = {"epochs", "epoch", "mean", "bytes", "seconds", "seed", *_MEASURED}
_NUMBERS |= {"prepare s", "train s", "s/epoch", "updates", "captured"}
"""Columns that are aligned right."""
_RESUMABLE = ("failed", "interrupted", "lost", "pruned")


def show(
    run: RunArgument,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Show all settings, including defaults, as a file that --config takes."
        ),
    ] = False,
    store: StoreOption = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show everything that is stored about a run."""
    with open_store(store) as opened:
        identity = opened.resolve(run)
        if plan:
            _show_plan(opened, identity, format, json=json)
            return
        if json:
            print_json(_as_json(opened, identity))
            return
        _print_head(opened, identity, format)
        _print_tables(opened, identity, format)


def _show_plan(store: Store, identity: str, format: Format, *, json: bool) -> None:
    """All settings of a run, with those that were added after it."""
    from genbench.planning.toml_plan import as_toml

    spec = RunSpec.from_json(store.run(identity).spec)
    defaults = setting_defaults(spec)
    values = _all_settings(store, identity, spec)
    rows = [(key, value, defaults.get(key)) for key, value in values.items()]
    if json:
        columns = ("setting", "value", "default")
        settings = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"run": identity, "digest": spec.digest, "settings": settings})
    elif format is Format.TABLE:
        former = {} if (cls := _settings_of("model", spec.model)) is None else cls.formerly
        whole = replace(spec, model_settings={**former, **spec.model_settings})
        print(plain(as_toml(whole), keep="\n"), end="")
    else:
        texts = [(k, in_words(v), in_words(d) if k in defaults else None) for k, v, d in rows]
        print_table(("setting", "value", "default"), texts, format=format)


def _as_json(store: Store, identity: str) -> dict[str, Any]:
    run = store.run(identity)
    return {
        **head(run),
        "children": store.children(identity),
        "params": store.params(identity),
        "plugins": [vars(part) for part in store.plugins(identity)],
        "stages": [vars(stage) for stage in store.stages(identity)],
        "epochs": [vars(epoch) for epoch in store.epochs(identity)],
        "scores": [
            {**vars(score), "ratio": ratio_to_floor(score)} for score in store.scores(identity)
        ],
        "warnings": [vars(warning) for warning in store.warnings(identity)],
        # What samplers said of their draws (acceptance, ...), and the metrics that were skipped.
        "diagnostics": [vars(draw) for draw in store.draws(identity)],
        "artifacts": [
            {**vars(artifact), "path": str(store.folder(identity) / artifact.path)}
            for artifact in store.artifacts(identity)
        ],
        "environment": store.environment(identity),
        "environments": [
            {"after_step": step, **known} for step, known in store.environments(identity)
        ],
        "store": str(store.url),
        "folder": str(store.folder(identity)),
    }


def _print_head(store: Store, identity: str, format: Format) -> None:
    run = store.run(identity)
    known = {
        "run": run.id,
        "name": run.name,
        "status": run.status.value,
        "model": run.model + (f" (preset {run.preset})" if run.preset else ""),
        "compressed": compressed_by(run) or None,
        "data set": run.dataset,
        "seed": run.seed,
        "device": f"{run.device}, {run.precision}",
        "epochs": f"{run.epochs_done} of {run.epochs_planned}",
        "parameters": f"{run.parameters:,}" if run.parameters else None,
        "created": f"{run.created_at} ({age(run.created_at)} ago)",
        "training": duration(run.train_s),
        "trained": _company(store, run),
        "in all": duration(run.wall_s),
        "tags": ", ".join(run.tags) or None,
        "note": run.note,
        "archived": run.archived_at,
        "parents": _relatives(store, run.parents),
        "children": _relatives(store, store.children(identity)),
        "experiment": run.experiment,
        "folder": str(store.folder(identity)),
        "error": run.error,
        "to resume": f"genbench resume {run.id}" if run.status.value in _RESUMABLE else None,
    }
    rows = [(key, value) for key, value in known.items() if value is not None]
    print_table(("run", run.id), rows[1:], format=format)


def _company(store: Store, run: Run) -> str | None:
    """'together with 7 other seeds (1 to 7): ...'; None for a run that was trained alone."""
    others = [seed for seed in store.trained_together(run.id) if seed != run.seed]
    if not others:
        return None
    return (
        f"together with {counted(len(others), 'other seed')} ({spans(others)}); the seconds are "
        "this run's share, and its noise is not that of a run alone"
    )


def _relatives(store: Store, identities: Sequence[str]) -> str | None:
    """'3fa1c2d4e5 (vae on mnist), ...'; None where there is none."""
    from genbench.errors import NoSuchRunError

    words = []
    for identity in identities:
        try:
            found = store.run(identity)
            words.append(f"{identity} ({found.model} on {found.dataset})")
        except NoSuchRunError:
            words.append(f"{identity} (not in this store)")
    return ", ".join(words) or None


_Table = Callable[[str, Sequence[str], Sequence[Sequence[Any]]], None]
"""Prints a table with a title and columns, unless it has no rows."""


def _print_tables(store: Store, identity: str, format: Format) -> None:
    def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            print()
            right = [column for column in columns if column in _NUMBERS]
            print_table(columns, rows, format=format, title=title, right=right)

    epochs = store.epochs(identity)
    stages = [_stage_row(stage, epochs) for stage in store.stages(identity)]
    table("Settings", ("setting", "value", "default"), _settings_rows(store, identity))
    plugins = ("part", "name", "distribution", "version", "installed")
    table("Plugins", plugins, _plugin_rows(store, identity))
    table("Stages", ("stage", "epochs", "prepare s", "train s", "s/epoch"), stages)
    steps = ("stage", "phase", "updates", "captured", "why not")
    table("Updates of the last epoch of each stage", steps, _execution_rows(store, identity))
    losses = epochs[-1].losses if epochs else {}
    title = f"Losses, means of epoch {epochs[-1].epoch}" if epochs else ""
    table(title, ("name", "mean"), [(key, _nan(value)) for key, value in losses.items()])
    warnings = [(warning.epoch, warning.message) for warning in store.warnings(identity)]
    table("Warnings", ("epoch", "warning"), warnings)
    _print_scores(store, identity, table)
    _print_draws(store, identity, table)
    files = [(a.kind, a.epoch, a.bytes, a.path) for a in store.artifacts(identity)]
    table("Files", ("kind", "epoch", "bytes", "file"), files)
    environment = [(key, in_words(value)) for key, value in store.environment(identity).items()]
    table("Environment", ("key", "value"), environment)
    _print_machines(store, identity)


def _print_scores(store: Store, identity: str, table: _Table) -> None:
    taken = store.scores(identity)
    scores = last_scored(taken)
    earlier = len(taken) - len(scores)
    title = f"Scores (and {earlier} of earlier epochs: --json)" if earlier else "Scores"
    table(title, _SCORES, [_score_row(score) for score in scores])
    for told in dict.fromkeys(f"  {score.metric}: {score.note}" for score in scores if score.note):
        answer(told)


def _print_draws(store: Store, identity: str, table: _Table) -> None:
    draws = store.draws(identity)
    parts = [Part(name=draw.sampler, settings=draw.sampler_settings) for draw in draws]
    named = list(zip(labels(parts), draws, strict=True))
    said = [
        (sampler, draw.epoch, name, number(value))
        for sampler, draw in named
        for name, value in draw.diagnostics.items()
    ]
    table("Diagnostics", ("sampler", "epoch", "name", "mean"), said)
    for sampler, draw in named:
        for metric, reason in draw.skipped.items():
            of = f" of {sampler}" if sampler else ""
            told = f"  {metric}{of} at epoch {draw.epoch} was skipped: {reason}"
            answer(told)


def _print_machines(store: Store, identity: str) -> None:
    """Where a run was trained, if it was continued on another machine."""
    places = store.environments(identity)
    if len(places) > 1:
        print("  this is the last machine; the run's seconds are summed over all machines:")
        for step, known in places:
            name, device, threads = (known.get(key) for key in ("cpu", "device", "threads"))
            gpu = f", {known['gpu']}" if known.get("gpu") else ""
            host = known.get("host")
            print(f"  after step {step:,}: {host}, {name}{gpu}, {device}, {threads} threads")


def _plugin_rows(store: Store, identity: str) -> list[tuple[str, str, str, str, str]]:
    """The distribution of each part, and the installed version if it is another one."""
    from genbench.runner.versions import installed

    rows = []
    for part in store.plugins(identity):
        here = [p.version for p in installed([(part.kind, part.name)], SESSION.registry)]
        now = "" if here == [part.version] else "".join(here) or "not installed"
        rows.append((part.kind, part.name, part.distribution, part.version, now))
    return rows


def _owners(store: Store, identity: str) -> dict[str, str]:
    """Part -> its distributions and versions, for telling two runs apart."""
    found: dict[str, list[str]] = {}
    for part in store.plugins(identity):
        owner = f"{part.distribution} {part.version}".strip()
        found.setdefault(f"{part.kind} {part.name}", []).append(owner)
    return {key: ", ".join(owners) for key, owners in found.items()}


def _settings_rows(store: Store, identity: str) -> list[tuple[str, str, str | None]]:
    """Each setting with its value, and its default if that differs."""
    defaults = setting_defaults(RunSpec.from_json(store.run(identity).spec))
    rows = []
    for key, value in store.params(identity).items():
        default = defaults.get(key, value)
        rows.append((key, in_words(value), in_words(default) if default != value else None))
    return rows


def setting_defaults(spec: RunSpec) -> dict[str, Any]:
    """The defaults of all settings under their stored keys; without parts that aren't installed.

    Fields that the model, a preset or the data decide have no default of their own.
    """
    from genbench.planning.sources import RunSettings

    decided = {"epochs", "batch_size", "samplers", "metrics", "device"}
    found = {k: v for k, v in _plain_defaults(RunSettings).items() if k not in decided}
    for prefix, settings in _classes(spec):
        found |= {f"{prefix}.{k}": v for k, v in _plain_defaults(settings).items()}
    return found


def _all_settings(store: Store, identity: str, spec: RunSpec) -> dict[str, Any]:
    """The settings of a run; those that it was stored without have the value of its version."""
    former = {f"{prefix}.{k}": v for prefix, cls in _classes(spec) for k, v in cls.formerly.items()}
    return {**setting_defaults(spec), **former, **store.params(identity)}


def _classes(spec: RunSpec) -> Iterator[tuple[str, type[Settings]]]:
    """The settings classes of the parts of a run, each with the prefix of its stored keys."""
    parts: list[tuple[Kind, str, str]] = [
        ("model", spec.model, "model"),
        ("dataset", spec.dataset, "dataset"),
        *(("sampler", p.name, f"sampler.{p.name}") for p in spec.samplers),
        *(("metric", p.name, f"metric.{p.name}") for p in spec.metrics),
    ]
    for kind, name, prefix in parts:
        if (settings := _settings_of(kind, name)) is not None:
            yield prefix, settings


def _settings_of(kind: Kind, name: str) -> type[Settings] | None:
    """The settings class of a part; None if it has none or isn't installed."""
    try:
        found: type[Settings] | None = SESSION.registry.settings(kind, name)
    except GenbenchError:
        return None
    return found


def _plain_defaults(settings: type[Settings]) -> dict[str, Any]:
    """The defaults as JSON values: tuples become lists, as in the store."""
    from pydantic_core import to_jsonable_python

    return {
        name: to_jsonable_python(field.get_default(call_default_factory=True))
        for name, field in settings.model_fields.items()
        if not field.is_required()
    }


def _stage_row(stage: StageRecord, epochs: Sequence[Epoch]) -> list[Any]:
    seconds = [epoch.train_s for epoch in epochs if epoch.stage == stage.name]
    mean = sum(seconds) / len(seconds) if seconds else None
    done = f"{stage.epochs_done}/{stage.epochs}"
    return [stage.name, done, number(stage.prepare_s, 3), number(sum(seconds), 3), number(mean, 3)]


def _execution_rows(store: Store, identity: str) -> list[tuple[str, str, int, int, str]]:
    """How updates were executed, unless the device has no other way."""
    return [
        (stage.name, phase, found["updates"], found["captured"], found["reason"])
        for stage in store.stages(identity)
        for phase, found in stage.execution.items()
        if not found["reason"].startswith(NO_GRAPHS)
    ]


def _execution(store: Store, identity: str) -> dict[str, str]:
    """Stage and phase -> whether its updates were captured, or why not."""
    return {
        f"{stage.name}, {phase}": "captured" if found["captured"] else found["reason"]
        for stage in store.stages(identity)
        for phase, found in stage.execution.items()
    }


def _score_row(score: ScoreRecord) -> list[Any]:
    row = [score.metric, _nan(score.value), number(score.std), score.draws, score.n]
    row += [number(score.floor), number(ratio_to_floor(score), 3), _sampler(score)]
    row += ["unknown" if score.seed is None else score.seed, _weights(score)]
    role = "final" if score.final else "additional"
    added = " (added)" if score.origin == "evaluate" else ""
    return [*row, number(score.seconds, 3), f"{role}{added}"]


def _weights(score: ScoreRecord) -> str:
    """The epoch of the scored weights, or the step within the next epoch."""
    return str(score.epoch) if score.step is None else f"{score.epoch} (step {score.step:,})"


def last_scored(scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """The scores of the last weights that were scored."""
    last = max(((score.epoch, score.step or 0) for score in scores), default=None)
    return [score for score in scores if (score.epoch, score.step or 0) == last]


def _sampler(score: ScoreRecord) -> str:
    settings = ", ".join(f"{k}={in_words(v)}" for k, v in score.sampler_settings.items())
    return f"{score.sampler} ({settings})" if settings else score.sampler


def _nan(value: float | None) -> str:
    """A stored value; the store keeps what is not finite as None."""
    return "nan" if value is None else number(value)


# --- diff


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="First run.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Second run.")],
    store: StoreOption = None,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the settings, plugins, environment, execution and scores in which two runs differ."""
    with open_store(store) as opened:
        a, b = (opened.resolve(ref) for ref in (first, second))
        differences = {
            "settings": differing(_settings(opened, a), _settings(opened, b)),
            "plugins": differing(_owners(opened, a), _owners(opened, b)),
            "environment": differing(opened.environment(a), opened.environment(b)),
            "execution": differing(_execution(opened, a), _execution(opened, b)),
            "scores": differing(_score_values(opened, a), _score_values(opened, b)),
        }
    if json:
        parts = {
            part: [{"key": key, "a": left, "b": right} for key, left, right in rows]
            for part, rows in differences.items()
        }
        print_json({"a": a, "b": b, **parts})
        return
    rows = [
        (part, key, *("" if v is None else _brief(part, v) for v in pair))
        for part, found in differences.items()
        for key, *pair in found
    ]
    if rows:
        print_table(("what", "key", a, b), rows, format=format)
    else:
        print("the runs don't differ in settings, plugins, environment, execution or scores")


def _brief(part: str, value: Any) -> str:
    """Settings with all digits, measured values with the significant ones."""
    return number(value) if part == "scores" else in_words(value)


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The keys with different values, and both values; None where one side lacks the key."""
    keys = [*a, *(key for key in b if key not in a)]
    return [(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]


def _settings(store: Store, identity: str) -> dict[str, Any]:
    run = store.run(identity)
    fixed = {"model": run.model, "dataset": run.dataset, "seed": run.seed, "device": run.device}
    params = _all_settings(store, identity, RunSpec.from_json(run.spec))
    return {**fixed, "precision": run.precision, "preset": run.preset, **params}


def _score_values(store: Store, identity: str) -> dict[str, Any]:
    """The last value of each metric and sampler; another protocol makes another key."""
    values: dict[str, Any] = {}
    for score in store.scores(identity):
        where = (score.metric, _sampler(score), f"protocol {score.protocol_hash[:6]}")
        values[", ".join(filter(None, where))] = score.value
    return values
