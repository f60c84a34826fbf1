"""A comparison as cells of text, for the terminal and the page, and as numbers for JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genbench.compare import (
    ADJUSTMENT,
    FAMILY_LEVEL,
    MIN_SEEDS,
    TEST,
    Column,
    Difference,
    Measure,
    Row,
    Table,
    sampler_titles,
)
from genbench.formatting import ARROWS, counted, number, plus_minus


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell, with one line or several; ``best`` marks the best value of its column."""

    text: str = ""
    best: bool = False
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The heading of a column; ``about`` explains it, ``numeric`` means that it is right-aligned.

    ``metric`` is the metric that the column shows. If ``beneath`` is true, a page may show these
    cells below those of the column before.
    """

    text: str
    about: str
    numeric: bool = True
    metric: str | None = None
    beneath: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table as text. Columns that would be empty or equal in all rows are left out."""

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
    yield (
        Heading(text="model", about="preset, or the settings that differ", numeric=False),
        [Cell(text=row.title) for row in rows],
    )
    if len({row.sampler for row in rows if row.sampler}) > 1:
        about = "how the scored samples were drawn"
        titles = sampler_titles(row.sampler for row in rows)
        cells = [Cell(text=titles[row.sampler]) for row in rows]
        yield Heading(text="sampler", about=about, numeric=False), cells
    about = "seeds of this experiment, and its runs if there are more; runs of a seed are repeats"
    yield Heading(text="seeds", about=about), [Cell(text=_seeds(row)) for row in rows]
    for column in table.shown:
        yield from _metric(column, rows)
    if several_evaluations(rows):
        yield from _sampling(rows)
    yield from _seconds(table)
    if table.target is not None and table.ranking:
        score = f"{table.ranking.metric} {number(table.target)}"
        about = (
            f"training seconds at the first evaluation with {score} or better; it was reached "
            "between that evaluation and the one before"
        )
        yield Heading(text=f"time to {score}", about=about), [_target(row) for row in rows]


def _seeds(row: Row) -> str:
    """'3', or '1 (3 runs)'."""
    seeds, runs = len(row.seeds), len(row.runs)
    if row.experiments > 1:
        return f"{runs} ({counted(seeds, 'experiment')})"
    return str(seeds) if runs == seeds else f"{seeds} ({counted(runs, 'run')})"


def _metric(column: Column, rows: tuple[Row, ...]) -> Iterator[tuple[Heading, list[Cell]]]:
    unit = f", {column.unit}" if column.unit else ""
    better = {"min": "lower", "max": "higher"}.get(column.direction, "closer to its floor")
    about = f"mean ± sd over seeds{unit}; {better} is better"
    text = f"{column.metric} {ARROWS.get(column.direction, '')}"
    cells = [Cell(text=_score(row, column), best=column.metric in row.best) for row in rows]
    yield Heading(text=text, about=about, metric=column.metric), cells
    if any(column.metric in row.against_parent for row in rows):
        about = (
            f"{column.metric} divided by that of the run which was compressed, mean ± sd over seeds"
        )
        shares = [row.against_parent.get(column.metric) for row in rows]
        heading = Heading(text="× parent", about=about, beneath=True)
        yield heading, [Cell(text=plus_minus(m.mean, m.sd) if m else "–") for m in shares]
    ratios = [row.ratio(column.metric) for row in rows]
    if any(ratio is not None for ratio in ratios):
        about = f"{column.metric} divided by its floor (the score of as many real samples)"
        heading = Heading(text="× floor", about=about, beneath=True)
        yield heading, [Cell(text=number(ratio, 3)) for ratio in ratios]


def _score(row: Row, column: Column) -> str:
    measure = row.scores.get(column.metric)
    if measure is None:
        return "–"
    text = plus_minus(measure.mean, measure.sd)
    return text if measure.n == len(row.seeds) else f"{text} (n {measure.n})"


def several_evaluations(rows: Sequence[Row]) -> bool:
    """Whether a sample of some row takes more than one pass through its network."""
    return any((row.nfe or 0) > 1 for row in rows)


def _sampling(rows: Sequence[Row]) -> Iterator[tuple[Heading, list[Cell]]]:
    about = "function evaluations per sample: passes through the network, one after the other"
    cells = [Cell(text="–" if row.nfe is None else number(row.nfe, 4)) for row in rows]
    yield Heading(text="NFE", about=about), cells
    about = "seconds of the sampler for each scored sample, mean ± sd over runs"
    cells = [Cell(text=seconds(row.sample_s) if row.sample_s else "–") for row in rows]
    yield Heading(text="s / sample", about=about), cells


def _seconds(table: Table) -> Iterator[tuple[Heading, list[Cell]]]:
    rows = table.rows
    about = "seconds per stage, including preparation; number of epochs × median seconds per epoch"
    heading = Heading(text="stages s (epochs × s)", about=about, numeric=False)
    yield heading, [_stages(row) for row in rows]
    places = [str(row.timed[0].place) for row in rows]
    if len(set(places)) > 1:
        about = "device and machine on which the seconds in this row were measured"
        heading = Heading(text="seconds on", about=about, numeric=False)
        yield heading, [Cell(text=place) for place in places]
    about = "total training seconds, mean ± sd over runs, including the runs that it builds on"
    cells = [Cell(text=_total(row)) for row in rows]
    yield Heading(text="total s", about=about), cells
    if table.baseline:
        about = (
            f"seconds per epoch of {table.baseline} divided by those of this row, in the last stage"
        )
        cells = [Cell(text=_speedup(row, row.epoch_speedup, row.epoch_speedup_sd)) for row in rows]
        yield Heading(text="epoch speed-up", about=about), cells
        about = f"total training seconds of {table.baseline} divided by those of this row"
        cells = [Cell(text=_speedup(row, row.total_speedup, row.total_speedup_sd)) for row in rows]
        yield Heading(text="total speed-up", about=about), cells


def _stages(row: Row) -> Cell:
    """'vae 55.1 (15 × 3.6) · gan 75.8 (40 × 1.85)'; a single stage has no name."""
    lines = []
    for i, stage in enumerate(row.first.stages):
        total = seconds(row.stage(i, "total_s"))
        text = f"{total} ({stage.epochs} × {seconds(row.stage(i, 'epoch_s'))})"
        lines.append(text if len(row.stages) < 2 else f"{stage.name} {text}")
    return Cell(text=" · ".join(lines), lines=tuple(lines))


def _total(row: Row) -> str:
    """'207 ± 3', or '131 (55.1 of vae)' for a row that builds upon other runs."""
    total, parents = seconds(row.total_s), row.parents_s
    if not parents.mean or row.parents_elsewhere:
        return total
    return f"{total} ({number(parents.mean, 3)} of {parent_models(row)})"


def parent_models(row: Row) -> str:
    """The models of the runs that it builds upon: 'vae', or 'vae and gan'."""
    models = dict.fromkeys(p.model for run in row.timed for p in run.parents)
    return " and ".join(models)


def seconds(measure: Measure) -> str:
    """Mean seconds with their standard deviation over runs."""
    return timed(measure.mean, measure.sd)


def timed(mean: float, sd: float | None) -> str:
    """A duration with three digits, and its standard deviation with two.

    >>> [timed(207.35, None), timed(207.35, 3.21), timed(7.0, 0.0)]
    ['207', '207.3 ± 3.2', '7']
    """
    # A standard deviation of exactly 0 comes from seconds that were measured once.
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
    of = len(row.timed)
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
    return {
        "model": row.first.model,
        "label": row.label,
        "experiment": row.first.experiment,
        "lenders": [source["model"] for source in row.first.sources],
        "sampler": row.sampler,
        "runs": [run.id for run in row.runs],
        "seeds": [repeats[0].seed for repeats in row.seeds],
        "repeats": [[run.id for run in repeats] for repeats in row.seeds],
        "versions": dict(row.first.versions),
        "scores": {
            c.metric: _score_as_dict(row, c.metric) for c in table.columns if c.metric in row.scores
        },
        "stages": [_stage_as_dict(row, i) for i in range(len(row.first.stages))],
        "nfe": row.nfe,
        "sample_s": _measure(row.sample_s) if row.sample_s else None,
        "seconds_on": str(row.timed[0].place),
        "seconds_of": [run.id for run in row.timed],
        "busy": row.busy,
        "epoch_s": _measure(row.epoch_s),
        "total_s": _measure(row.total_s),
        "parents_s": row.parents_s.mean,
        "parents_elsewhere": row.parents_elsewhere,
        "is_baseline": row.is_baseline,
        "epoch_speedup": row.epoch_speedup,
        "epoch_speedup_sd": row.epoch_speedup_sd,
        "total_speedup": row.total_speedup,
        "total_speedup_sd": row.total_speedup_sd,
        "to_target_s": _measure(row.to_target) if row.to_target else None,
        "target_gap_s": row.target_gap_s,
        "reached": row.reached if table.target is not None else None,
    }


def _score_as_dict(row: Row, metric: str) -> dict[str, Any]:
    parent = row.against_parent.get(metric)
    return {
        **_measure(row.scores[metric]),
        "to_best": _difference(row.differences.get(metric)),
        "floor": row.floors.get(metric),
        "ratio": row.ratio(metric),
        "best": metric in row.best,
        **({} if parent is None else {"against_parent": _measure(parent)}),
    }


def _stage_as_dict(row: Row, i: int) -> dict[str, Any]:
    stage = row.first.stages[i]
    seconds = {key: _measure(row.stage(i, key)) for key in ("epoch_s", "prepare_s", "total_s")}
    return {"stage": stage.name, "epochs": stage.epochs, **seconds}


def _named(row: Row) -> dict[str, Any]:
    first = row.first
    return {
        "title": row.title,
        "experiment": first.experiment,
        "sampler": row.sampler,
    }


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    """The difference to the best row with its interval; None for the best row."""
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
    """One dictionary of plain numbers per row, for CSV; all data sets fit into one file."""
    for row in table.rows:
        values: dict[str, Any] = {
            "dataset": table.dataset,
            "model": row.first.kind,
            "label": row.label,
            "experiment": row.first.experiment,
            "sampler": row.sampler,
            "seeds": len(row.seeds),
            "runs": len(row.runs),
        }
        for column in table.columns:
            if column.metric in row.scores:
                values |= _flat_score(row, column.metric)
        if several_evaluations(table.rows):
            values["nfe"] = row.nfe
            values["sample_s"] = row.sample_s.mean if row.sample_s else None
        for i, stage in enumerate(row.first.stages):
            values[f"stage{i + 1}"] = stage.name
            values[f"stage{i + 1}_epochs"] = stage.epochs
            values[f"stage{i + 1}_epoch_s"] = row.stage(i, "epoch_s").mean
            values[f"stage{i + 1}_s"] = row.stage(i, "total_s").mean
        values["seconds_on"] = str(row.timed[0].place)
        values["total_s"] = row.total_s.mean
        values["total_s_sd"] = row.total_s.sd
        if table.baseline:
            values["epoch_speedup"] = 1.0 if row.is_baseline else row.epoch_speedup
            values["busy"] = row.busy
            values["total_speedup"] = 1.0 if row.is_baseline else row.total_speedup
        if table.target is not None:
            values["to_target_s"] = row.to_target.mean if row.to_target else None
        yield values


def _flat_score(row: Row, metric: str) -> dict[str, Any]:
    measure, share = row.scores[metric], row.against_parent.get(metric)
    difference = row.differences.get(metric)
    low, high = (difference and difference.interval) or (None, None)
    values = {
        "": measure.mean,
        "_sd": measure.sd,
        "_n": measure.n,
        "_over_floor": row.ratio(metric),
    }
    if share is not None:
        values |= {"_over_parent": share.mean, "_over_parent_sd": share.sd}
    values |= {"_to_best_low": low, "_to_best_high": high}
    return {f"{metric}{suffix}": value for suffix, value in values.items()}
