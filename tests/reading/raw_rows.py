"""What a store holds, by Python's own sqlite3, and what a page shows of it: for tests that compare.

Nothing of genbench's arithmetic is used here; the arithmetic is that of numpy and scipy.
"""

from __future__ import annotations

import html
import re
import sqlite3
from pathlib import Path

import numpy as np
from scipy import stats

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")
STAGES = {"gan": ["train"], "vaegan": ["vae", "gan"]}


class Stored:
    """The raw rows of each model's runs, by ascending seed."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def rows(self, sql: str, *values: object) -> list[tuple]:
        return self._db.execute(sql, values).fetchall()

    def runs(self, model: str) -> list[int]:
        return [r for (r,) in self.rows("SELECT run FROM runs WHERE model=? ORDER BY seed", model)]

    def scores(self, model: str, epoch: int | None = None) -> np.ndarray:
        """fd_clf of each seed at an epoch (default: the last one)."""
        found = []
        for run in self.runs(model):
            rows = self.rows(
                "SELECT e.epoch, e.value FROM evals e JOIN metric_keys k USING (key) "
                "WHERE e.run = ? AND k.name = 'fd_clf' ORDER BY e.epoch",
                run,
            )
            found.append(dict(rows)[epoch or rows[-1][0]])
        return np.array(found)

    def settings(self, model: str) -> dict[str, tuple[float | None, str | None]]:
        """Name -> number and text of each setting of a model's first run."""
        sql = "SELECT key, num, text FROM run_params WHERE run = ?"
        return {key: (num, text) for key, num, text in self.rows(sql, self.runs(model)[0])}

    def floor(self) -> float:
        [(floor,)] = self.rows("SELECT DISTINCT floor FROM evals")
        return floor

    def epochs(self, run: int, stage: str | None = None) -> np.ndarray:
        """train_s of the epochs."""
        rows = self.rows("SELECT stage, train_s FROM epochs WHERE run = ? ORDER BY epoch", run)
        return np.array([s for name, s in rows if stage in (None, name)])

    def test_losses(self, run: int) -> np.ndarray:
        """The loss on the test split after each epoch."""
        rows = self.rows(
            "SELECT l.value FROM epoch_losses l JOIN metric_keys k USING (key) "
            "WHERE l.run = ? AND k.name = 'test/loss' ORDER BY l.epoch",
            run,
        )
        return np.array([value for (value,) in rows])

    def prepared(self, run: int, stage: str) -> float:
        sql = "SELECT prepare_s FROM stages WHERE run = ? AND stage = ?"
        [(seconds,)] = self.rows(sql, run, stage)
        return seconds

    def ends(self, model: str, run: int) -> np.ndarray:
        """The training seconds at the end of each epoch, with preparation."""
        spent = []
        for stage in STAGES[model]:
            seconds = self.epochs(run, stage)
            seconds[0] += self.prepared(run, stage)
            spent.append(seconds)
        return np.cumsum(np.concatenate(spent))

    def totals(self, model: str) -> np.ndarray:
        return np.array([self.ends(model, run)[-1] for run in self.runs(model)])

    def epoch_s(self, model: str, stage: str) -> np.ndarray:
        return np.array([np.median(self.epochs(run, stage)[1:]) for run in self.runs(model)])

    def stage_s(self, model: str, stage: str) -> np.ndarray:
        return np.array(
            [self.epochs(run, stage).sum() + self.prepared(run, stage) for run in self.runs(model)]
        )

    def quotient(self, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
        """A quotient of means with its standard deviation to first order."""
        value = one.mean() / other.mean()
        relative = np.hypot(one.std(ddof=1) / one.mean(), other.std(ddof=1) / other.mean())
        return value, value * relative

    def difference(self) -> tuple[float, float]:
        """Welch's interval of the difference of gan and vaegan at 96 %."""
        test = stats.ttest_ind(self.scores("gan"), self.scores("vaegan"), equal_var=False)
        interval = test.confidence_interval(0.96)
        return interval.low, interval.high

    def curve(
        self, model: str, series: str, stage: str | None = None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Epochs and seconds (seeds, points) of each point of a series, and the values there."""
        xs: dict[str, list] = {"epochs": [], "seconds": []}
        ys = []
        for run in self.runs(model):
            epochs = self.rows("SELECT stage, step, train_s FROM epochs WHERE run = ?", run)
            points = self.rows(
                "SELECT p.step, p.value FROM points p JOIN metric_keys k USING (key) "
                "WHERE p.run = ? AND k.name = ? ORDER BY p.step",
                run,
                series,
            )
            steps = np.array([step for step, _ in points])
            epoch = np.searchsorted([step for _, step, _ in epochs], steps)
            before = np.array([0, *(step for _, step, _ in epochs)])
            share = (steps - before[epoch]) / np.diff(before)[epoch]
            spent = np.array([seconds for _, _, seconds in epochs])[epoch]
            inside = [stage in (None, epochs[i][0]) for i in epoch]
            xs["epochs"].append((epoch + share)[inside])
            xs["seconds"].append((self.ends(model, run)[epoch] - spent * (1 - share))[inside])
            ys.append(np.array([value for _, value in points])[inside])
        return {axis: np.array(found) for axis, found in xs.items()}, np.array(ys)


def told(token: str, value: float) -> bool:
    """Whether a number as it is shown is the value, rounded to as many digits."""
    plain = token.replace(",", "")
    places = len(plain.partition(".")[2])
    return abs(float(plain) - value) <= 0.5000001 * 10.0**-places


def numbers(text: str) -> list[str]:
    return NUMBER.findall(html.unescape(re.sub(r"<[^>]*>", " ", text)))


def cell(page: str, model: str, head: str) -> str:
    row = next(
        row
        for row in re.findall(r"<tr data-row.*?</tr>", page, flags=re.DOTALL)
        if f"<span>{model}</span>" in row
    )
    found = re.search(rf'data-head="{re.escape(head)}">(.*?)</td>', row, flags=re.DOTALL)
    assert found is not None
    return found[1]


def drawn(page: str, title: str, name: str) -> np.ndarray:
    """The points of a curve as its chart carries them; NaN where a number isn't known."""
    chart = next(
        svg
        for svg in re.findall(r'<svg class="chart.*?</svg>', page, flags=re.DOTALL)
        if f">{title}</title>" in svg
    )
    found = re.search(rf'data-name="{name}" data-p="([^"]*)"', chart)
    assert found is not None
    points = [p.split(",") for p in found[1].split(";")]
    width = max(map(len, points))
    return np.array([[float(v or "nan") for v in p] + [np.nan] * (width - len(p)) for p in points])
