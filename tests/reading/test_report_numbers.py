"""Every number of the page comes from the store: recomputed here from raw SQL with numpy and scipy.

Nothing of genbench's arithmetic is used; the store is read by Python's own sqlite3.
"""

from __future__ import annotations

import html
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from genbench.compare import Question, Selection
from genbench.report.content import read_report
from genbench.report.page import render

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")
STAGES = {"gan": ["train"], "vaegan": ["vae", "gan"]}


@pytest.fixture(scope="module")
def path(tmp_path_factory, new_bench, new_plan) -> Path:
    """gan with one stage and vaegan with two, three seeds each; no two numbers are alike."""
    bench = new_bench(tmp_path_factory.mktemp("numbers") / "runs.db")
    for seed in range(3):
        slow = 1 + 0.07 * seed
        train = new_plan(name="train", epochs=4, epoch_s=10.0 * slow)
        vae = new_plan(name="vae", epochs=3, epoch_s=4.3 * slow)
        latent = new_plan(name="gan", epochs=5, epoch_s=1.1 * slow, prepare_s=2.4 * slow)
        curve = (83.1 + seed, 61.7 - 2 * seed, 47.9 + 3 * seed)
        bench.add(
            "gan", seed=seed, stages=[train], score=41.3 + 1.7 * seed, curve=curve, pictures=True
        )
        bench.add("vaegan", seed=seed, stages=[vae, latent], score=21.9 - 0.6 * seed, pictures=True)
    bench.store.close()
    return bench.path


@pytest.fixture(scope="module")
def page(path, new_bench) -> str:
    store = new_bench(path).store
    return render(read_report(store, Selection(baseline="gan"), Question(baseline="gan")))


@pytest.fixture(scope="module")
def stored(path) -> Stored:
    return Stored(path)


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

    def floor(self) -> float:
        [(floor,)] = self.rows("SELECT DISTINCT floor FROM evals")
        return floor

    def epochs(self, run: int, stage: str | None = None) -> np.ndarray:
        """train_s of the epochs."""
        rows = self.rows("SELECT stage, train_s FROM epochs WHERE run = ? ORDER BY epoch", run)
        return np.array([s for name, s in rows if stage in (None, name)])

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


def test_the_scores_of_the_table(page, stored):
    for model in STAGES:
        scores = stored.scores(model)
        mean, sd, ratio = numbers(cell(page, model, "fd_clf ↓"))
        assert told(mean, scores.mean())
        assert told(sd, scores.std(ddof=1))
        assert told(ratio, scores.mean() / stored.floor())


def test_the_seconds_of_the_table(page, stored):
    for model, stages in STAGES.items():
        mean, sd = numbers(cell(page, model, "total s"))
        assert told(mean, stored.totals(model).mean())
        assert told(sd, stored.totals(model).std(ddof=1))
        shown = numbers(cell(page, model, "stages s (epochs × s)"))
        for stage, (total, off, count, epoch, away) in zip(
            stages, zip(*[iter(shown)] * 5, strict=True), strict=True
        ):
            assert told(total, stored.stage_s(model, stage).mean())
            assert told(off, stored.stage_s(model, stage).std(ddof=1))
            assert int(count) == len(stored.epochs(stored.runs(model)[0], stage))
            assert told(epoch, stored.epoch_s(model, stage).mean())
            assert told(away, stored.epoch_s(model, stage).std(ddof=1))


def test_the_speed_ups_of_the_table(page, stored):
    epochs = stored.quotient(stored.epoch_s("gan", "train"), stored.epoch_s("vaegan", "gan"))
    totals = stored.quotient(stored.totals("gan"), stored.totals("vaegan"))
    for head, known in (("epoch speed-up", epochs), ("total speed-up", totals)):
        value, sd = numbers(cell(page, "vaegan", head))
        assert told(value, known[0])
        assert told(sd, known[1])


def test_each_number_of_the_answer_and_of_the_remarks(page, stored):
    known: list[float] = [*stored.difference(), 0, 3, 96]
    for model, stages in STAGES.items():
        scores = stored.scores(model)
        known += [scores.mean(), scores.std(ddof=1), scores.mean() / stored.floor()]
        known += [stored.totals(model).mean()]
        for stage in stages:
            known += [stored.stage_s(model, stage).mean(), stored.epoch_s(model, stage).mean()]
    for pair in (
        (stored.epoch_s("gan", "train"), stored.epoch_s("vaegan", "gan")),
        (stored.totals("gan"), stored.totals("vaegan")),
    ):
        known += stored.quotient(*pair)
    for kind in ("findings", "remarks"):
        found = re.search(rf'<ul class="{kind}">(.*?)</ul>', page, flags=re.DOTALL)
        assert found is not None
        tokens = numbers(found[1])
        assert tokens
        strays = [token for token in tokens if not any(told(token, value) for value in known)]
        assert strays == []
    low, high = (f"{end:.3g}" for end in stored.difference())
    assert f"the interval of the difference, {low} to {high}, does not contain 0" in page


def test_the_points_of_score_against_seconds(page, stored):
    for model in STAGES:
        scores, totals = stored.scores(model), stored.totals(model)
        [point] = drawn(page, "fd_clf against training seconds", model)
        known = [totals.mean(), scores.mean(), scores.std(ddof=1), totals.std(ddof=1)]
        assert point == pytest.approx(known, rel=1e-5)


def test_the_curves_of_scores_with_their_bands(page, stored):
    runs = stored.runs("gan")
    ends = np.array([stored.ends("gan", run) for run in runs])
    for i in range(4):
        scores = stored.scores("gan", i + 1)
        known = [scores.mean(), scores.std(ddof=1)]
        over_epochs = drawn(page, "fd_clf over epochs", "gan")[i]
        assert over_epochs == pytest.approx([i + 1, *known], rel=1e-5)
        over_seconds = drawn(page, "fd_clf over seconds", "gan")[i]
        assert over_seconds == pytest.approx([ends[:, i].mean(), *known], rel=1e-5)


def test_the_curves_of_losses(page, stored):
    titles = {"train": "losses", "vae": "losses of stage vae", "gan": "losses of stage gan"}
    for model, stages in STAGES.items():
        for stage in stages:
            xs, ys = losses(stored, model, stage)
            for axis in ("epochs", "seconds"):
                points = drawn(page, f"{titles[stage]} over {axis}", stage)
                assert points[:, 0] == pytest.approx(xs[axis].mean(0), rel=1e-5)
                assert points[:, 1] == pytest.approx(ys.mean(0), rel=1e-5)
                assert points[:, 2] == pytest.approx(ys.std(0, ddof=1), abs=1e-9)


def losses(stored: Stored, model: str, stage: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Epochs and seconds (seeds, steps) at each step of a stage, and the losses there."""
    xs: dict[str, list] = {"epochs": [], "seconds": []}
    ys = []
    for run in stored.runs(model):
        epochs = stored.rows("SELECT stage, step, train_s FROM epochs WHERE run = ?", run)
        ends = stored.ends(model, run)
        points = stored.rows(
            "SELECT p.step, p.value FROM points p JOIN metric_keys k USING (key) "
            "WHERE p.run = ? AND k.name = ? ORDER BY p.step",
            run,
            f"{stage}/loss",
        )
        steps = np.array([step for step, _ in points])
        epoch = np.searchsorted([step for _, step, _ in epochs], steps)
        before = np.array([0, *(step for _, step, _ in epochs)])
        share = (steps - before[epoch]) / np.diff(before)[epoch]
        spent = np.array([seconds for _, _, seconds in epochs])[epoch]
        xs["epochs"].append(epoch + share)
        xs["seconds"].append(ends[epoch] - spent * (1 - share))
        ys.append([value for _, value in points])
    return {axis: np.array(found) for axis, found in xs.items()}, np.array(ys)


def test_the_cards_have_the_score_and_the_seconds_of_each_seed(page, stored):
    for model in STAGES:
        totals, scores = stored.totals(model), stored.scores(model)
        for seed, run in enumerate(stored.runs(model)):
            [(identity,)] = stored.rows("SELECT id FROM runs WHERE run = ?", run)
            [row] = re.findall(
                rf"<tr><th[^>]*>{seed}</th><td><code>{identity}</code>(.*?)</tr>", page
            )
            score, total = re.findall(r'<td class="num">([^<]*)</td>', row)
            assert told(score, scores[seed])
            assert told(total, totals[seed])


def test_the_moments_of_the_slider_and_of_the_samples(page, stored):
    known: dict[str, set[float]] = {"epochs": set(), "seconds": set()}
    for model in STAGES:
        ends = stored.ends(model, stored.runs(model)[0])
        known["epochs"] |= {float(i + 1) for i in range(len(ends))}
        known["seconds"] |= set(ends)
        shots = re.findall(rf'alt="{model}, samples, [^"]*"[^>]*data-seconds="([^"]*)"', page)
        assert np.array(shots, float) == pytest.approx(ends, rel=1e-5)
    for axis, moments in known.items():
        [steps] = re.findall(rf'data-{axis}="\[([^"]*)\]"', page)
        assert np.array(steps.split(","), float) == pytest.approx(sorted(moments), rel=1e-5)


def test_the_counts_in_the_head(page, stored):
    [(runs,)] = stored.rows("SELECT count(*) FROM runs WHERE status = 'finished'")
    [(experiments,)] = stored.rows("SELECT count(DISTINCT experiment) FROM runs")
    assert f"{runs} finished runs of {experiments} experiments" in page
