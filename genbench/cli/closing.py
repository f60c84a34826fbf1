"""The report at the end of a run: text for a person on stderr, one JSON object on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.cli.opening import head, ratio_to_floor
from genbench.cli.output import print_json
from genbench.cli.session import say
from genbench.formatting import duration, measured, number
from genbench.spec import Part, labels

if TYPE_CHECKING:
    from genbench.store import Store
    from genbench.store.records import Run, ScoreRecord


def print_result(store: Store, run_id: str) -> None:
    """The run as one JSON object, however it ended."""
    print_json(result(store, run_id))


def result(store: Store, run_id: str) -> dict[str, Any]:
    """The run with its scores and warnings, for JSON."""
    run = store.run(run_id)
    return {
        **head(run),
        "store": str(store.url),
        "folder": str(store.folder(run.id)),
        "scores": [score_as_json(score) for score in store.scores(run.id)],
        "skipped": [
            {"metric": metric, "sampler": draw.sampler, "epoch": draw.epoch, "reason": reason}
            for draw in store.draws(run.id)
            for metric, reason in draw.skipped.items()
        ],
        "warnings": [vars(warning) for warning in store.warnings(run.id)],
    }


def score_as_json(score: ScoreRecord) -> dict[str, Any]:
    """A stored score, with its ratio to the floor; ``protocol`` is the protocol's hash."""
    return {
        **vars(score),
        "protocol": score.protocol_hash,
        "ratio": ratio_to_floor(score),
    }


def say_closing(store: Store, run: Run, *, seconds: float) -> None:
    """Print scores, seconds, the places of the pictures and the next commands, on stderr.

    ``seconds`` is the time since the start of the program, scoring included.
    """
    say("")
    say(
        f"run {run.id} {run.status}: {run.model} on {run.dataset}, "
        f"{duration(seconds)}, training {duration(run.train_s)}"
    )
    last = max((score.epoch for score in store.scores(run.id)), default=0)
    say_scores([score for score in store.scores(run.id) if score.epoch == last])
    for warning in store.warnings(run.id):
        say(f"  warning after epoch {warning.epoch}: {warning.message}")
    last_skipped = [d for d in store.draws(run.id) if d.epoch == last and d.skipped]
    for metric in dict.fromkeys(name for draw in last_skipped for name in draw.skipped):
        say(f"  {metric} was skipped; to compute it: genbench evaluate {run.id}")
    artifacts = store.artifacts(run.id)
    for artifact in artifacts:
        if Path(artifact.path).parent == Path():
            say(f"  {artifact.kind}: {_short(store.folder(run.id) / artifact.path)}")
    kinds = {artifact.kind for artifact in artifacts}
    draw = "translate" if "translations" in kinds and "samples" not in kinds else "sample"
    say(f"  next: genbench show {run.id}   genbench compare   genbench {draw} {run.id}")


def say_scores(scores: Sequence[ScoreRecord]) -> None:
    """A table of scores with their floors, on stderr."""
    header = ("metric", "sampler", "value", "floor", "ratio", "n")
    parts = [Part(name=score.sampler, settings=score.sampler_settings) for score in scores]
    rows = [
        (
            score.metric,
            sampler or "-",
            f"{measured(score.value, score.std, score.draws)} {score.unit}".strip(),
            number(score.floor),
            number(ratio_to_floor(score), 3),
            f"{score.n:,}",
        )
        for sampler, score in zip(labels(parts), scores, strict=True)
    ]
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        say("  " + "  ".join((*left, *right)))
    for note in dict.fromkeys(f"{s.metric}: {s.note}" for s in scores if s.note):
        say(f"  {note}")


def _short(path: Path) -> Path:
    """The path relative to the working folder, if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
