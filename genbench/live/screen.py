"""The terminal view of live runs: one block for each run, by rich.

A block has a plot for each loss. If the terminal is not high enough for all blocks, plots become
lower, then each run has a single line. Nothing is wrapped: a long text is cut with an ellipsis.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Group
from rich.text import Text

from genbench.formatting import ARROWS, duration, measured, number, visible
from genbench.live.plots import plot
from genbench.live.state import LatestScore, LiveRun, Series

BAR, INDENT, NAME, VALUE = 24, 2, 21, 10
"""Columns of the bar, before a block's lines, of the longest name of a loss, and of a value."""

WIDEST_PLOT = 72
TALL, LOW = 3, 1
"""Lines of a plot where there is room, and where there isn't."""

STYLES = {
    "running": "green",
    "finished": "cyan",
    "lost": "bold red",
    "failed": "bold red",
    "interrupted": "yellow",
    "queued": "dim",
}


def screen(runs: Sequence[LiveRun], store: str, *, width: int, height: int | None) -> Group:
    """The whole view, no higher than ``height`` lines where that is possible (None: any height)."""
    head = [summary(runs, store), Text()]
    lines: list[Text] = []
    for plot_height in (TALL, LOW, 0):
        lines = [line for run in runs for line in block(run, width, plot_height)]
        if height is None or len(lines) + len(head) <= height:
            break
    return Group(*(_cut(line, width) for line in (*head, *lines)))


def summary(runs: Sequence[LiveRun], store: str) -> Text:
    """'2 running, 1 lost · runs.db · 21:15:03'."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.state.split()[0]] = counts.get(run.state.split()[0], 0) + 1
    text = Text()
    for i, (state, count) in enumerate(counts.items()):
        text.append(", " * (i > 0))
        text.append(f"{count} {state}", style=_style(state))
    text.append("no run is training" * (not counts), style="dim")
    text.append(f" · {visible(store)} · {datetime.now():%H:%M:%S} · Ctrl-C ends", style="dim")
    return text


def block(run: LiveRun, width: int, plot_height: int) -> list[Text]:
    """The lines of one run; only the first one if plots have no height."""
    head = _head(run)
    if not plot_height:
        return [head.append("  ").append_text(_progress(run, bar=8))]
    lines = [head, Text(" " * INDENT).append_text(_progress(run, bar=BAR))]
    for name, series in run.losses.items():
        lines += _loss(name, series, width, plot_height)
    if run.scores:
        lines.append(_labelled("scores", scores_in_words(run.scores)))
    if run.picture:
        lines.append(_labelled("picture", near(run.picture)))
    for epoch, message in run.warnings[-2:]:
        lines.append(_labelled("warning", f"epoch {epoch}: {message}", style="yellow"))
    if hint := advice(run):
        lines.append(_labelled(run.state.split()[0], hint, style=_style(run.state)))
    return [*lines, Text()]


def _head(run: LiveRun) -> Text:
    head, name = run.run, run.run.name
    text = Text("● ", style=_style(run.state))
    text.append(visible(f"{head.model} on {head.dataset}"), style="bold")
    text.append(f"  {head.id}", style="dim")
    text.append(f"  {visible(name)}" if name else "", style="italic")
    text.append(f"  seed {head.seed}", style="dim")
    return text.append(f"  {run.state}", style=_style(run.state))


def _progress(run: LiveRun, bar: int) -> Text:
    """A bar with the epochs, the stage, the seconds per epoch and the time left."""
    done, planned = run.run.epochs_done, run.run.epochs_planned
    full = round(bar * done / max(1, planned))
    text = Text("━" * full, style="green").append("━" * (bar - full), style="bright_black")
    parts = [f"epoch {done}/{planned}"]
    if run.stage and run.stages > 1:
        parts.append(f"stage {run.stage.name} {run.stage.epochs_done}/{run.stage.epochs}")
    if run.left_s is not None:
        parts.append(f"{duration(run.left_s)} left")
    if run.epoch_s is not None:
        parts.append(f"{duration(run.epoch_s)} per epoch")
    return text.append("  " + visible(" · ".join(parts)))


def _loss(name: str, series: Series, width: int, height: int) -> list[Text]:
    """The plot of a loss, with its last value and its range."""
    columns = max(8, min(WIDEST_PLOT, width - INDENT - NAME - VALUE - 15))
    values = [value for _, value in series if value is not None]
    last = series[-1][1] if series else None
    lines = []
    for i, dots in enumerate(plot(series, columns, height)):
        first = i == 0
        label = visible(name)[: NAME - 1].ljust(NAME) if first else " " * NAME
        line = Text(" " * INDENT).append(label, style="dim").append(dots, style="cyan")
        if first:
            line.append(f" {'nan' if last is None else number(last):<{VALUE}}", style="bold")
        elif values and i == height - 1:
            line.append(f" {number(min(values))} to {number(max(values))}", style="dim")
        lines.append(line)
    return lines


def _labelled(label: str, text: str, style: str = "") -> Text:
    return Text(" " * INDENT).append(label.ljust(NAME), style="dim").append(visible(text), style)


def scores_in_words(scores: Sequence[LatestScore]) -> str:
    """The newest scores, 'fd_clf ↓ 33.1 (plain, epoch 10)'."""
    texts = []
    for score in scores:
        value = "nan" if score.value is None else measured(score.value, score.std)
        where = ", ".join(filter(None, (score.sampler, f"epoch {score.epoch}")))
        arrow = ARROWS.get(score.direction, "")
        texts.append(f"{score.metric} {arrow}{' ' * bool(arrow)}{value} ({where})")
    return "  ".join(texts)


def advice(run: LiveRun) -> str:
    """What to do about a run that has ended badly; "" for any other."""
    if run.state == "lost":
        when = f"; last sign {duration(run.silence_s)} ago" if run.silence_s is not None else ""
        # The command comes first: a narrow terminal cuts the end.
        return f"genbench resume {run.run.id} (its process is gone{when})"
    if run.state == "failed":
        return run.run.error or "it failed"
    if run.state == "interrupted":
        return f"genbench resume {run.run.id}"
    return ""


def near(path: Path) -> str:
    """A path from the working directory if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _style(state: str) -> str:
    return STYLES.get(state.split()[0], "yellow")


def _cut(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line
