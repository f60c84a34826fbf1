"""Rows by the values of a setting, sorted by anything, and the Pareto front."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from genbench.compare import Question, Selection, select, tabulate
from genbench.compare.pareto import undominated
from genbench.compare.row_labels import labels_of
from genbench.errors import UnknownNameError, UsageError
from genbench.spec import LATER


@pytest.fixture(scope="module")
def grid(tmp_path_factory, make_bench):
    """vae over z_dim 2, 8 and lr 1, 2, each with two seeds; gan once."""
    bench = make_bench(tmp_path_factory.mktemp("grid") / "runs.db")
    for z_dim in (8, 2):
        for lr in (1, 2):
            for seed in (0, 1):
                settings = {"z_dim": z_dim, "lr": lr}
                score = 100.0 * z_dim + 10.0 * lr + seed
                bench.add("vae", seed=seed, score=score, settings=settings)
    bench.add("gan", score=5.0)
    yield bench.store
    bench.store.close()


def table(store, **question):
    (made,) = tabulate(select(store, Selection()), Question(**question))
    return made


def test_a_row_pools_the_experiments_of_one_value_and_each_counts_once(grid):
    made = table(grid, by=("z_dim",))
    assert [row.title for row in made.rows] == ["gan (z_dim=–)", "vae (z_dim=2)", "vae (z_dim=8)"]
    two = made.rows[1].scores["fd_clf"]
    # The means of the two experiments, not the four runs.
    assert two.values == (210.5, 220.5)
    assert made.rows[1].experiments == 2
    assert any("2 experiments that differ in lr are pooled" in note for note in made.notes)
    assert not any("gan" in note and "pooled" in note for note in made.notes)


def test_rows_of_several_settings_pool_nothing_where_these_are_all_that_differ(grid):
    made = table(grid, by=("z_dim", "model.lr"))
    assert "vae (z_dim=2, model.lr=1)" in [row.title for row in made.rows]
    plain = table(grid)
    values = {row.scores["fd_clf"].values for row in made.rows}
    assert values == {row.scores["fd_clf"].values for row in plain.rows}
    assert not any("pooled" in note for note in made.notes)


def test_rows_by_model_have_no_label_and_a_pooled_row_can_be_the_baseline(grid):
    made = table(grid, by=("model",), baseline="vae")
    assert [row.title for row in made.rows] == ["gan", "vae"]
    assert made.baseline == "vae"
    assert [row.is_baseline for row in made.rows] == [False, True]


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("z_dim", "vae (lr=1, z_dim=2)", "gan"),
        ("-z_dim", "vae (lr=1, z_dim=8)", "gan"),
        ("-fd_clf", "vae (lr=2, z_dim=8)", "gan"),
        ("fd_clf", "gan", "vae (lr=2, z_dim=8)"),
        ("seeds", "gan", "vae (lr=2, z_dim=8)"),
        ("-model", "vae (lr=2, z_dim=8)", "gan"),
    ],
)
def test_rows_are_sorted_by_settings_too_with_unknown_values_last(grid, sort, first, last):
    titles = [row.title for row in table(grid, sort=sort).rows]
    assert titles[0] == first
    assert titles[-1] == last


def test_a_run_from_before_a_setting_has_it_at_its_default(bench):
    bench.add("vae", score=1.0, settings={"beta": 1.0})
    bench.add("vae", score=2.0, settings={"beta": 2.0})
    old, new = select(bench.store, Selection()).runs
    old = replace(old, spec={k: v for k, v in old.spec.items() if k not in LATER})
    assert set(labels_of([old, new]).values()) == {"beta=1", "beta=2"}


@pytest.mark.parametrize("question", [{"by": ("zdim",)}, {"sort": "zdim"}])
def test_unknown_settings_name_the_nearest(grid, question):
    with pytest.raises(UnknownNameError, match="did you mean 'z_dim'"):
        table(grid, **question)


@pytest.mark.parametrize("question", [{"by": ("nope",)}, {"sort": "nope"}])
def test_the_known_settings_are_listed_without_the_versions_of_plugins(grid, question):
    runs = [replace(run, versions={"genbench": "1.0"}) for run in select(grid, Selection()).runs]
    with pytest.raises(UnknownNameError, match="z_dim") as found:
        tabulate(runs, Question(**question))
    assert "genbench" not in str(found.value)


def test_no_row_is_made_for_a_single_seed_and_the_message_says_how_to_see_one(grid):
    with pytest.raises(UsageError, match="a row is the mean over its seeds") as found:
        table(grid, by=("seed",))
    assert "genbench compare seed=0" in str(found.value)


def test_the_command_line_groups_sorts_and_limits_pooled_rows(filled, genbench):
    said = genbench("compare", "--by", "model,epochs", "--sort", "-fd_clf", "--limit", "1")
    rows = [line for line in said.out.splitlines() if "epochs=" in line]
    assert len(rows) == 1
    assert rows[0].startswith("gan (epochs=4)")
    assert "1 more row" in said.err


# --- the Pareto front


def dominates(a, b):
    better = a[0] <= b[0] and a[1] <= b[1]
    return better and a != b


def test_the_front_is_what_no_row_dominates(bench):
    from genbench.compare import Measure

    bench.add("gan", score=1.0)
    (only,) = tabulate(select(bench.store, Selection()), Question())
    draw = random.Random(0)
    for _ in range(50):
        keys = [(float(draw.randint(1, 6)), float(draw.randint(1, 6))) for _ in range(12)]
        rows = []
        for seconds, score in keys:
            stage = replace(only.rows[0].first.stages[0], train_s=seconds)
            run = replace(only.rows[0].first, stages=(stage,))
            scores = {"fd_clf": Measure(values=(score,))}
            rows.append(replace(only.rows[0], runs=(run,), scores=scores))
        wanted = {
            i for i, key in enumerate(keys) if not any(dominates(other, key) for other in keys)
        }
        found = undominated(rows, only.columns[0])
        assert set(found) == wanted
        assert [keys[i][0] for i in found] == sorted(keys[i][0] for i in found)


def test_pareto_shows_the_front_by_seconds_with_floor_and_spread(bench, genbench):
    from tests.reading.conftest import Plan

    for seed in (0, 1, 2):
        for model, seconds, score in (("slow", 9.0, 5.0), ("fast", 1.0, 20.0), ("bad", 9.5, 21.0)):
            stages = (Plan(name="train", epochs=4, epoch_s=seconds),)
            bench.add(model, seed=seed, stages=stages, score=score + seed)
    bench.add("elsewhere", score=50.0, machine={"cpu": "another CPU", "threads": 2})
    bench.add("failed", score=float("nan"))
    said = genbench("compare", "--pareto")
    titles = [line.split()[0] for line in said.out.splitlines()[3:]]
    # Seconds of another machine can't be compared with these.
    assert titles == ["fast", "slow", "elsewhere"]
    assert "6.0 ± 1.0 *" in said.out
    assert "× floor" in said.out
    assert "3 of 5 rows" in said.err
    assert "the floor of fd_clf is 2" in said.err
    assert genbench("compare", "--pareto", "--json").json["datasets"][0]["bests"]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, make_bench):
    """Experiments on a grid of scores and seconds with ties, two samplers and two machines."""
    from tests.reading.conftest import MACHINE, Plan

    bench = make_bench(tmp_path_factory.mktemp("crowd") / "runs.db")
    draw = random.Random(1)
    for number in range(14):
        stages = [Plan(name="train", epochs=1, epoch_s=float(draw.randint(1, 4)))]
        score, model = float(draw.randint(1, 5)), draw.choice(("gan", "vae"))
        for seed in range(draw.randint(1, 2)):
            bench.add(
                model,
                seed=seed,
                stages=stages,
                score=score + 0.1 * seed,
                settings={"lr": number},
                sampler="drs" if number % 5 == 0 else "plain",
                machine={**MACHINE, "cpu": "another CPU"} if number % 7 == 0 else None,
            )
    bench.add("gan", score=float("nan"), settings={"lr": 99})
    bench.add("gan", scores={"rare": 1.0}, settings={"lr": 98})
    yield bench.store
    bench.store.close()


@pytest.mark.parametrize("baseline", [None, "vae (lr=3)"])
def test_the_front_of_many_experiments_is_found_without_reading_them_all(
    crowd, monkeypatch, baseline
):
    question = Question(pareto=True, baseline=baseline)
    whole = select(crowd, Selection(pareto=True, baseline=baseline))
    monkeypatch.setattr("genbench.compare.selection.MANY", 1)
    some = select(crowd, Selection(pareto=True, baseline=baseline))
    assert len(some.runs) < 0.7 * len(whole.runs)
    (all_rows,), (few_rows,) = tabulate(whole, question), tabulate(some, question)
    assert [(row.title, row.sampler) for row in few_rows.rows] == [
        (row.title, row.sampler) for row in all_rows.rows
    ]
    assert len(few_rows.rows) > 3
    assert [row.scores for row in few_rows.rows] == [row.scores for row in all_rows.rows]
    assert few_rows.notes[0].replace("15 rows", "16 rows") == all_rows.notes[0]


def test_notes_below_a_front_are_about_its_own_rows(crowd):
    (made,) = tabulate(select(crowd, Selection(pareto=True)), Question(pareto=True))
    titles = {row.title for row in made.rows}
    assert not any("--limit" in note for note in made.notes)
    for note in made.notes[1:]:
        named = set(re.findall(r"(?:gan|vae) \(lr=\d+\)", note.partition("not shown")[2] or note))
        assert named <= titles


def test_a_front_in_a_metric_that_one_data_set_lacks_is_right_on_both(bench, monkeypatch):
    for number, (first, second) in enumerate([(1.0, 9.0), (2.0, 8.0), (3.0, 7.0)]):
        own = {"settings": {"lr": number}}
        bench.add("gan", dataset="digits", scores={"b": first}, **own)
        bench.add("gan", dataset="mnist", scores={"a": first, "b": second}, **own)
    asked = Question(pareto=True, metrics=("a", "b"))
    found = []
    for many in (50, 1):
        monkeypatch.setattr("genbench.compare.selection.MANY", many)
        tables = tabulate(select(bench.store, Selection(pareto=True, metric="a")), asked)
        found.append([[row.title for row in table.rows] for table in tables])
    assert found[0] == found[1] == [["gan (lr=0)"], ["gan (lr=0)"]]
