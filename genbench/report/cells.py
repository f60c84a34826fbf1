"""A comparison as cells of text, for the terminal and the page alike; and as plain numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from genbench.compare import Column, Contender, Measure, Row, Table, sampler_titles
from genbench.numbers import number, plus_minus

ARROWS = {"min": "↓", "max": "↑"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell, of a line or several; ``best`` marks the best value of its column."""

    text: str = ""
    best: bool = False
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The head of a column; ``about`` says what it means, ``numeric`` that it aligns right.

    ``metric`` is the one that the column shows. ``beneath`` says that on a page these cells may
    stand beneath those of the column before.
    """

    text: str
    about: str
    numeric: bool = True
    metric: str | None = None
    beneath: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table as it is shown. Columns that would be empty or all alike are left out."""

    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]


def grid(table: Table) -> Grid:
    """The cells of a comparison."""
    columns = list(_columns(table))
    return Grid(
        headings=tuple(heading for heading, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
    )


def _columns(table: Table) -> Iterator[tuple[Heading, list[Cell]]]:
    rows = table.rows
    people = [row.contender for row in rows]
    yield (
        Heading(text="model", about="preset, or the settings that differ", numeric=False),
        [Cell(text=contender.title) for contender in people],
    )
    if len({contender.sampler for contender in people if contender.sampler}) > 1:
        about = "how samples were drawn for the scores"
        titles = sampler_titles(contender.sampler for contender in people)
        cells = [Cell(text=titles[contender.sampler]) for contender in people]
        yield Heading(text="sampler", about=about, numeric=False), cells
    about = "runs of this experiment"
    yield Heading(text="seeds", about=about), [Cell(text=str(len(c.trials))) for c in people]
    for column in table.columns:
        yield from _metric(column, rows)
    yield from _seconds(table)
    if table.target is not None and table.ranking:
        score = f"{table.ranking.metric} {number(table.target)}"
        about = f"training seconds until {score} or better was reached"
        yield Heading(text=f"s to {score}", about=about), [_target(row) for row in rows]


def _metric(column: Column, rows: tuple[Row, ...]) -> Iterator[tuple[Heading, list[Cell]]]:
    unit = f", {column.unit}" if column.unit else ""
    better = {"min": "lower", "max": "higher"}.get(column.direction, "near its floor")
    about = f"mean ± sd over seeds{unit}; {better} is better"
    text = f"{column.metric} {ARROWS.get(column.direction, '')}"
    cells = [
        Cell(text=_score(row.contender, column), best=column.metric in row.best) for row in rows
    ]
    yield Heading(text=text, about=about, metric=column.metric), cells
    ratios = [row.contender.ratio(column.metric) for row in rows]
    if any(ratio is not None for ratio in ratios):
        about = f"{column.metric} over its floor: real against real at the same number of samples"
        heading = Heading(text="× floor", about=about, beneath=True)
        yield heading, [Cell(text=number(ratio, 3)) for ratio in ratios]


def _score(contender: Contender, column: Column) -> str:
    measure = contender.scores.get(column.metric)
    if measure is None:
        return "–"
    text = plus_minus(measure.mean, measure.sd)
    return text if measure.n == len(contender.trials) else f"{text} (n {measure.n})"


def _seconds(table: Table) -> Iterator[tuple[Heading, list[Cell]]]:
    rows = table.rows
    about = "seconds of each stage, with preparing its data; its epochs × the seconds of one"
    heading = Heading(text="stages s (epochs × s)", about=about, numeric=False)
    yield heading, [_stages(row.contender) for row in rows]
    about = "training seconds in all, with the runs that a run builds upon"
    totals = [row.contender.total_s for row in rows]
    yield Heading(text="total s", about=about), [Cell(text=seconds(total)) for total in totals]
    if table.baseline:
        about = f"an epoch of {table.baseline} in epochs of the last stage"
        cells = [Cell(text=_speedup(row, row.epoch_speedup)) for row in rows]
        yield Heading(text="epoch speed-up", about=about), cells
        about = f"all training seconds of {table.baseline} over those of the row"
        cells = [Cell(text=_speedup(row, row.total_speedup)) for row in rows]
        yield Heading(text="total speed-up", about=about), cells


def _stages(contender: Contender) -> Cell:
    """'vae 55.1 (15 × 3.6) · gan 75.8 (40 × 1.85)'; the name only where there are several."""
    lines = []
    for i, stage in enumerate(contender.first.stages):
        total = seconds(contender.stage(i, "total_s"))
        text = f"{total} ({stage.epochs} × {seconds(contender.stage(i, 'epoch_s'))})"
        lines.append(text if len(contender.stages) < 2 else f"{stage.name} {text}")
    return Cell(text=" · ".join(lines), lines=tuple(lines))


def seconds(measure: Measure, digits: int = 3) -> str:
    """A mean of seconds, without its spread (the JSON has it)."""
    return number(measure.mean, digits)


def _speedup(row: Row, value: float | None) -> str:
    if row.is_baseline:
        return "baseline"
    return "–" if value is None else f"{number(value, 3)}×"


def _target(row: Row) -> Cell:
    if row.to_target is None:
        return Cell(text="–")
    text = plus_minus(row.to_target.mean, row.to_target.sd)
    of = len(row.contender.trials)
    return Cell(text=text if row.reached == of else f"{text} ({row.reached} of {of})")


# --- plain numbers, for JSON and CSV


def as_dict(table: Table) -> dict[str, Any]:
    """A comparison for JSON."""
    return {
        "dataset": table.dataset,
        "dataset_settings": dict(table.settings),
        "devices": table.devices,
        "baseline": table.baseline,
        "target": table.target,
        "metrics": [vars(column) for column in table.columns],
        "rows": [_row_as_dict(row, table) for row in table.rows],
        "warnings": table.warnings,
        "notes": table.notes,
    }


def _row_as_dict(row: Row, table: Table) -> dict[str, Any]:
    contender = row.contender
    return {
        "model": contender.first.model,
        "label": contender.label,
        "experiment": contender.first.experiment,
        "lenders": [lender["model"] for lender in contender.first.lenders],
        "sampler": contender.sampler,
        "runs": [trial.run for trial in contender.trials],
        "seeds": [trial.seed for trial in contender.trials],
        "scores": {
            column.metric: {
                **_measure(contender.scores[column.metric]),
                "floor": contender.floors.get(column.metric),
                "ratio": contender.ratio(column.metric),
                "best": column.metric in row.best,
            }
            for column in table.columns
            if column.metric in contender.scores
        },
        "stages": [
            {
                "stage": stage.name,
                "epochs": stage.epochs,
                "epoch_s": _measure(contender.stage(i, "epoch_s")),
                "prepare_s": _measure(contender.stage(i, "prepare_s")),
                "total_s": _measure(contender.stage(i, "total_s")),
            }
            for i, stage in enumerate(contender.first.stages)
        ],
        "total_s": _measure(contender.total_s),
        "parents_s": contender.first.parents_s,
        "is_baseline": row.is_baseline,
        "epoch_speedup": row.epoch_speedup,
        "total_speedup": row.total_speedup,
        "to_target_s": _measure(row.to_target) if row.to_target else None,
        "reached": row.reached if table.target is not None else None,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {"mean": measure.mean, "sd": measure.sd, "n": measure.n}


def flat(table: Table) -> Iterator[dict[str, Any]]:
    """One mapping of plain numbers for each row, for CSV: all data sets fit into one sheet."""
    for row in table.rows:
        contender = row.contender
        values: dict[str, Any] = {
            "dataset": table.dataset,
            "model": contender.first.kind,
            "label": contender.label,
            "experiment": contender.first.experiment,
            "sampler": contender.sampler,
            "seeds": len(contender.trials),
        }
        for column in table.columns:
            measure = contender.scores.get(column.metric)
            if measure is not None:
                values[column.metric] = measure.mean
                values[f"{column.metric}_sd"] = measure.sd
                values[f"{column.metric}_n"] = measure.n
                values[f"{column.metric}_over_floor"] = contender.ratio(column.metric)
        for i, stage in enumerate(contender.first.stages):
            values[f"stage{i + 1}"] = stage.name
            values[f"stage{i + 1}_epochs"] = stage.epochs
            values[f"stage{i + 1}_epoch_s"] = contender.stage(i, "epoch_s").mean
            values[f"stage{i + 1}_s"] = contender.stage(i, "total_s").mean
        values["total_s"] = contender.total_s.mean
        if table.baseline:
            values["epoch_speedup"] = 1.0 if row.is_baseline else row.epoch_speedup
            values["total_speedup"] = 1.0 if row.is_baseline else row.total_speedup
        if table.target is not None:
            values["to_target_s"] = row.to_target.mean if row.to_target else None
        yield values
