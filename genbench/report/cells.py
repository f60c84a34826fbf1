"""A comparison as cells of text, for the terminal and the page alike; and as plain numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from genbench.compare import (
    ADJUSTMENT,
    FAMILY_LEVEL,
    MIN_SEEDS,
    TEST,
    Column,
    Contender,
    Difference,
    Measure,
    Row,
    Table,
    sampler_titles,
)
from genbench.formatting import ARROWS, counted, number, plus_minus


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
    about = "seeds of this experiment, and its runs where there are more: these count as repeats"
    yield Heading(text="seeds", about=about), [Cell(text=_seeds(c)) for c in people]
    for column in table.shown:
        yield from _metric(column, rows)
    yield from _seconds(table)
    if table.target is not None and table.ranking:
        score = f"{table.ranking.metric} {number(table.target)}"
        about = (
            f"training seconds at the first evaluation with {score} or better: it was reached "
            "between that one and the one before"
        )
        yield Heading(text=f"time to {score}", about=about), [_target(row) for row in rows]


def _seeds(contender: Contender) -> str:
    """'3', or '1 (3 runs)'."""
    seeds, runs = len(contender.seeds), len(contender.trials)
    return str(seeds) if runs == seeds else f"{seeds} ({counted(runs, 'run')})"


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
    return text if measure.n == len(contender.seeds) else f"{text} (n {measure.n})"


def _seconds(table: Table) -> Iterator[tuple[Heading, list[Cell]]]:
    rows = table.rows
    about = "seconds of each stage, with preparing its data; its epochs × the median of one"
    heading = Heading(text="stages s (epochs × s)", about=about, numeric=False)
    yield heading, [_stages(row.contender) for row in rows]
    places = [str(row.contender.timed[0].place) for row in rows]
    if len(set(places)) > 1:
        about = "where the runs trained whose seconds stand in this row"
        heading = Heading(text="seconds on", about=about, numeric=False)
        yield heading, [Cell(text=place) for place in places]
    about = "training seconds in all, mean ± sd over runs, with those of the runs it builds upon"
    cells = [Cell(text=_total(row.contender)) for row in rows]
    yield Heading(text="total s", about=about), cells
    if table.baseline:
        about = f"an epoch of {table.baseline} in epochs of the last stage"
        cells = [Cell(text=_speedup(row, row.epoch_speedup, row.epoch_speedup_sd)) for row in rows]
        yield Heading(text="epoch speed-up", about=about), cells
        about = f"all training seconds of {table.baseline} over those of the row"
        cells = [Cell(text=_speedup(row, row.total_speedup, row.total_speedup_sd)) for row in rows]
        yield Heading(text="total speed-up", about=about), cells


def _stages(contender: Contender) -> Cell:
    """'vae 55.1 (15 × 3.6) · gan 75.8 (40 × 1.85)'; the name only where there are several."""
    lines = []
    for i, stage in enumerate(contender.first.stages):
        total = seconds(contender.stage(i, "total_s"))
        text = f"{total} ({stage.epochs} × {seconds(contender.stage(i, 'epoch_s'))})"
        lines.append(text if len(contender.stages) < 2 else f"{stage.name} {text}")
    return Cell(text=" · ".join(lines), lines=tuple(lines))


def _total(contender: Contender) -> str:
    """'207 ± 3', or of a graft '131 (55.1 of vae)'."""
    total, parents = seconds(contender.total_s), contender.parents_s
    if not parents.mean or contender.parents_elsewhere:
        return total
    return f"{total} ({number(parents.mean, 3)} of {lent(contender)})"


def lent(contender: Contender) -> str:
    """The models of the runs that it builds upon: 'vae', or 'vae and gan'."""
    models = dict.fromkeys(p.model for trial in contender.timed for p in trial.parents)
    return " and ".join(models)


def seconds(measure: Measure) -> str:
    """A mean of seconds with its spread over runs."""
    return timed(measure.mean, measure.sd)


def timed(mean: float, sd: float | None) -> str:
    """A figure of time with three digits, and its spread with two.

    >>> [timed(207.35, None), timed(207.35, 3.21), timed(7.0, 0.0)]
    ['207', '207.3 ± 3.2', '7']
    """
    # Equal to the last digit: seconds that were never measured apart, as those of one run.
    return plus_minus(mean, sd) if sd else number(mean, 3)


def _speedup(row: Row, value: float | None, sd: float | None) -> str:
    if row.is_baseline:
        return "baseline"
    if value is None:
        return "–"
    return f"{timed(value, sd)}×" + (" (busy)" if row.busy else "")


def _target(row: Row) -> Cell:
    if row.to_target is None:
        return Cell(text="–")
    text = f"≤ {timed(row.to_target.mean, row.to_target.sd)} s"
    text += f" (evaluated every {number(row.target_gap_s, 3)} s)"
    of = len(row.contender.timed)
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
        "test": {
            "name": TEST,
            "adjustment": ADJUSTMENT,
            "level": FAMILY_LEVEL,
            "least_seeds": MIN_SEEDS,
        },
        "bests": {metric: _named(best) for metric, best in table.bests.items()},
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
        "lenders": [source["model"] for source in contender.first.sources],
        "sampler": contender.sampler,
        "runs": [trial.run for trial in contender.trials],
        "seeds": [repeats[0].seed for repeats in contender.seeds],
        "repeats": [[trial.run for trial in repeats] for repeats in contender.seeds],
        "versions": dict(contender.first.versions),
        "scores": {
            column.metric: {
                **_measure(contender.scores[column.metric]),
                "to_best": _difference(row.differences.get(column.metric)),
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
        "seconds_on": str(contender.timed[0].place),
        "seconds_of": [trial.run for trial in contender.timed],
        "busy": row.busy,
        "epoch_s": _measure(contender.epoch_s),
        "total_s": _measure(contender.total_s),
        "parents_s": contender.parents_s.mean,
        "parents_elsewhere": contender.parents_elsewhere,
        "is_baseline": row.is_baseline,
        "epoch_speedup": row.epoch_speedup,
        "epoch_speedup_sd": row.epoch_speedup_sd,
        "total_speedup": row.total_speedup,
        "total_speedup_sd": row.total_speedup_sd,
        "to_target_s": _measure(row.to_target) if row.to_target else None,
        "target_gap_s": row.target_gap_s,
        "reached": row.reached if table.target is not None else None,
    }


def _named(contender: Contender) -> dict[str, Any]:
    first = contender.first
    return {
        "title": contender.title,
        "experiment": first.experiment,
        "sampler": contender.sampler,
    }


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    """The difference to the best with its interval; None for the best itself."""
    if difference is None:
        return None
    return {
        "estimate": difference.estimate,
        "interval": difference.interval,
        "level": difference.level,
        "p": difference.p,
        "df": difference.df if difference.p is not None else None,
        "distinguishable": difference.distinguishable,
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
            "seeds": len(contender.seeds),
            "runs": len(contender.trials),
        }
        for column in table.columns:
            measure = contender.scores.get(column.metric)
            if measure is not None:
                values[column.metric] = measure.mean
                values[f"{column.metric}_sd"] = measure.sd
                values[f"{column.metric}_n"] = measure.n
                values[f"{column.metric}_over_floor"] = contender.ratio(column.metric)
                difference = row.differences.get(column.metric)
                low, high = (difference and difference.interval) or (None, None)
                values[f"{column.metric}_to_best_low"] = low
                values[f"{column.metric}_to_best_high"] = high
        for i, stage in enumerate(contender.first.stages):
            values[f"stage{i + 1}"] = stage.name
            values[f"stage{i + 1}_epochs"] = stage.epochs
            values[f"stage{i + 1}_epoch_s"] = contender.stage(i, "epoch_s").mean
            values[f"stage{i + 1}_s"] = contender.stage(i, "total_s").mean
        values["seconds_on"] = str(contender.timed[0].place)
        values["total_s"] = contender.total_s.mean
        values["total_s_sd"] = contender.total_s.sd
        if table.baseline:
            values["epoch_speedup"] = 1.0 if row.is_baseline else row.epoch_speedup
            values["busy"] = row.busy
            values["total_speedup"] = 1.0 if row.is_baseline else row.total_speedup
        if table.target is not None:
            values["to_target_s"] = row.to_target.mean if row.to_target else None
        yield values
