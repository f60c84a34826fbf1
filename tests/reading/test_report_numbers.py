"""Every number of the page comes from the store: recomputed here from raw SQL with numpy and scipy.

Nothing of genbench's arithmetic is used; the store is read by Python's own sqlite3.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.reading.raw_rows import STAGES, cell, drawn, numbers, told


@pytest.fixture
def page(numbered_page) -> str:
    return numbered_page


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
            xs, ys = stored.curve(model, f"{stage}/loss", stage)
            for axis in ("epochs", "seconds"):
                points = drawn(page, f"{titles[stage]} over {axis}", stage)
                assert points[:, 0] == pytest.approx(xs[axis].mean(0), rel=1e-5)
                assert points[:, 1] == pytest.approx(ys.mean(0), rel=1e-5)
                assert points[:, 2] == pytest.approx(ys.std(0, ddof=1), abs=1e-9)


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


def card(page: str, model: str) -> str:
    found = re.search(
        rf'<details class="card"(?:(?!</summary>).)*<span class="name">{model}</span>.*?'
        r"(?=<details class=\"card\"|</section>)",
        page,
        flags=re.DOTALL,
    )
    assert found is not None
    return found[0]


def facts(text: str, heading: str) -> dict[str, str]:
    """The names and values of the first list below a heading."""
    _, _, after = text.partition(f">{heading}<")
    inside = after[after.index("<dl>") : after.index("</dl>")]
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", inside))


def test_the_head_of_a_card_has_the_score_and_the_seconds(page, stored):
    for model in STAGES:
        head = re.search(r"<summary>.*?<small>(.*?)</small>", card(page, model))
        assert head is not None
        mean, sd, seconds = numbers(head[1])
        assert told(mean, stored.scores(model).mean())
        assert told(sd, stored.scores(model).std(ddof=1))
        assert told(seconds, stored.totals(model).mean())


def test_the_settings_of_a_card_are_those_in_the_store(page, stored):
    settings = {model: stored.settings(model) for model in STAGES}
    for model, known in settings.items():
        shown = facts(card(page, model), "All settings")
        # The others are no settings of the training, or are plugins with their versions.
        assert {f"model.{name}" for name in ("lr", "width", "z_dim")} <= set(known)
        assert set(known) - {f"model.{k}" for k in shown} - {*shown} == {
            *("seed", "metrics", "model", "dataset", "evaluate_every", "sample_every"),
            *("log_every", "preset", "threads"),
        }
        for name, value in shown.items():
            number, text = known[name if name in known else f"model.{name}"]
            assert text in (None, value) or told(value, number)
    names = facts(card(page, "vaegan"), "Settings that differ")
    assert names == {"lr": "0.00133", "epochs": "5"}


def test_the_environment_of_a_card_is_that_in_the_store(page, stored):
    [(body,)] = stored.rows("SELECT DISTINCT body FROM environments")
    known = {**json.loads(body), "packages": "torch 2.15"}
    for model in STAGES:
        shown = facts(card(page, model), "Environment")
        assert shown == {name: str(value) for name, value in known.items()}


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
