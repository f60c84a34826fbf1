"""Options and arguments that several commands have: their names, types and help texts.

``run_options`` gives a command the fields of a run (`genbench.spec.RunFields`) as options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from genbench.cli import completing
from genbench.cli.output import Format
from genbench.spec import MOST_SEED, RunFields

if TYPE_CHECKING:
    from genbench.store import Filter

Command = Callable[..., None]

ModelArgument = Annotated[
    str,
    typer.Argument(help="Name of a model; see: genbench models.", autocompletion=completing.models),
]
DatasetArgument = Annotated[
    str,
    typer.Argument(
        help="Name of a data set, or NAME:ARGUMENT such as latents:@1; see: genbench datasets.",
        autocompletion=completing.datasets,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id, its first characters, a name, or @1 for the newest run.",
        autocompletion=completing.runs,
    ),
]
RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Runs: ids, their first characters, names, or @1.",
        autocompletion=completing.runs,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Path or SQLAlchemy URL of the store (default: GENBENCH_STORE, or runs.db).",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of data sets in torchvision's layout (default: GENBENCH_DATA, or data).",
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Download nothing (as GENBENCH_OFFLINE=1).")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.")
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Published settings of the model; see: genbench presets.",
        autocompletion=completing.presets,
    ),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]
EnqueueOption = Annotated[
    bool,
    typer.Option(
        "--enqueue", help="Write what is missing into the queue for workers; run nothing here."
    ),
]
PriorityOption = Annotated[
    int,
    typer.Option(
        "--priority", min=-1_000, max=1_000, help="Priority of enqueued tasks; higher first."
    ),
]
BatchOption = Annotated[
    str | None,
    typer.Option("--batch", metavar="BATCH", help="Only tasks of a batch, such as study:NAME."),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the new run.")]
PlanOnlyOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan and its cost; train nothing.")
]
SetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Value of a setting, name=value; repeatable.",
        autocompletion=completing.settings,
    ),
]
SamplersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sampler", help="Sampler to score with; repeatable.", autocompletion=completing.samplers
    ),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="Metric to score with, or none; repeatable.",
        autocompletion=completing.metrics,
    ),
]
ListenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="NAME",
        help="Listener to send the run to, such as tensorboard, or none; repeatable; see: "
        "genbench listeners.",
        autocompletion=completing.listeners,
    ),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Tag of the new run; repeatable.", autocompletion=completing.tags),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Format of tables.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Only runs of this model.", autocompletion=completing.models),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Only runs on this data set.", autocompletion=completing.datasets
    ),
]
TagOption = Annotated[
    str | None,
    typer.Option("--tag", help="Only runs with this tag.", autocompletion=completing.tags),
]
ArchivedOption = Annotated[
    bool, typer.Option("--archived", help="Also use runs that are archived.")
]
FiltersArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help="Runs to use: a run, or a condition such as model=vae, 'lr>=1e-4' or tag:paper.",
        autocompletion=completing.runs,
    ),
]


def filters(words: list[str] | None, **flags: str | None) -> tuple[Filter, ...]:
    """The filters in a command's arguments, and those that its options are short for."""
    from genbench.store import Filter
    from genbench.store.filters import parse

    given = [Filter.one(key, value) for key, value in flags.items() if value is not None]
    return (*parse(words or ()), *given)


def run_options(*names: str) -> Callable[[Command], Command]:
    """Add an option for each of the run's fields (all, or those named), passed as keywords.

    They come after the command's arguments, and are None if they are not given. Types are
    checked by Typer, bounds by `genbench.planning`, which knows where each value comes from.
    """

    def extended(command: Command) -> Command:
        own = _parameters(command)
        arguments = [p for p in own if p.default is p.empty]
        return _signed(command, [*arguments, *_options(names), *own[len(arguments) :]])

    return extended


def options_of(common: Callable[..., object]) -> Callable[[Command], Command]:
    """Add the keywords of another function or class, after the command's own options.

    The command receives them as keywords, to pass them on; its own option of the same name comes
    first.
    """

    def extended(command: Command) -> Command:
        own = _parameters(command)
        names = {p.name for p in own}
        shared = [p for p in _parameters(common) if p.kind is p.KEYWORD_ONLY]
        return _signed(command, [*own, *(p for p in shared if p.name not in names)])

    return extended


def whole_numbers(text: str | None, option: str) -> tuple[int, ...]:
    """The numbers in ``0,1,2``; none for None. Raises UsageError."""
    from genbench.errors import UsageError

    try:
        return () if text is None else tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} {text}: expected whole numbers with commas, such as 0,1,2"
        ) from None


MOST_SEEDS = 4_096
"""The maximum number of seeds of one command."""


def seeds_in(text: str | None, option: str = "--seeds") -> tuple[int, ...]:
    """The seeds in ``0,1,2``, ``0..31`` (with both ends) or both, each once. Raises UsageError."""
    from genbench.errors import UsageError

    found: dict[int, None] = {}
    for word in [] if text is None else text.split(","):
        first, dots, last = word.strip().partition("..")
        if not (first.isdecimal() and (last.isdecimal() or not dots)):
            raise UsageError(f"{option} {text}: expected seeds such as 0,1,2 or 0..31")
        span = range(int(first), int(last or first) + 1)
        if not span or span[-1] > MOST_SEED:
            raise UsageError(
                f"{option} {text}: in {word} the first seed must not be above the last one, and a "
                f"seed is at most {MOST_SEED}"
            )
        if len(span) + len(found) > MOST_SEEDS:
            raise UsageError(f"{option} {text}: more than {MOST_SEEDS:,} seeds")
        found.update(dict.fromkeys(span))
    return tuple(found)


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    found = inspect.signature(function, eval_str=True).parameters.values()
    return [p for p in found if p.kind is not p.VAR_KEYWORD]


def _signed(command: Command, parameters: list[inspect.Parameter]) -> Command:
    """The command as Typer is to see it, with these parameters."""
    signed: Any = command
    keywords = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters]
    signed.__signature__ = inspect.Signature(keywords)
    return command


def _options(names: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    """The fields of a run as parameters of a command; a choice of words is read as text."""
    for name, annotated in get_type_hints(RunFields, include_extras=True).items():
        kind, choice = get_args(annotated)
        if not names or name in names:
            typed = str if get_origin(kind) is Literal else kind
            yield inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[typed | None, typer.Option(help=choice.help)],
            )
