"""The grammar that selects runs, against plain Python over the records of the same runs."""

from __future__ import annotations

import csv
import io
import itertools
import shlex

import pytest

from genbench.errors import NoSuchRunError, UnknownNameError, UsageError
from genbench.store import Filter, Store
from genbench.store.filters import known_keys, parse

HOSTILE = "' OR 1=1 --"
LONG = "x" * 10_000
NAMES = ("abc-1", "ABC-2", None, "a=b", "100%_!", "=1+1", "\u202e<script>\x1b[2J", LONG[:200])


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_bench):
    """Eight runs of two models on two data sets, with settings, tags, scores and names."""
    bench = make_bench(tmp_path_factory.mktemp("filters") / "runs.db")
    for i, name in enumerate(NAMES):
        bench.add(
            ("gan", "vaegan")[i % 2],
            dataset=("mnist", "digits")[i // 4],
            seed=i,
            score=10.0 * i if i else None,
            sampler=("plain", "drs")[i // 2 % 2],
            settings={"lr": (1e-3, 1e-4)[i % 2], "widths": [8, i], "kind": ("x", None)[i // 4]},
            tags=("paper", f"t{i}") if i % 3 == 0 else (),
            name=name,
            end="fail" if i == 5 else "finish",
        )
    yield bench.store
    bench.store.close()


def seeds(store: Store, *words: str) -> set[int]:
    return {run.seed for run in store.runs(where=parse(words))}


LR = (1e-3, 1e-4)
CASES = {
    "model=vaegan": lambda i: i % 2,
    "model=vaegan,gan": lambda i: True,
    "model:va*": lambda i: i % 2,
    "dataset=mnist": lambda i: i < 4,
    "status=failed": lambda i: i == 5,
    "status:fin*": lambda i: i != 5,
    "seed=3": lambda i: i == 3,
    "seed=3,4,99": lambda i: i in (3, 4),
    "seed<=3": lambda i: i <= 3,
    "seed<3": lambda i: i < 3,
    "seed>3": lambda i: i > 3,
    "seed>=3": lambda i: i >= 3,
    "lr>=1e-3": lambda i: LR[i % 2] >= 1e-3,
    "model.lr<1e-3": lambda i: LR[i % 2] < 1e-3,
    "lr=0.0001": lambda i: i % 2,
    "lr=1e-4,1e-3": lambda i: True,
    "widths=[8,3]": lambda i: i == 3,
    "kind=x": lambda i: i < 4,
    "kind=none": lambda i: i >= 4,
    "preset=none": lambda i: True,
    "batch_size=100": lambda i: True,
    "epochs>4": lambda i: False,
    "fd_clf<20": lambda i: 0 < i < 2,
    "fd_clf>=20": lambda i: i >= 2,
    "fd_clf=none": lambda i: i == 0,
    "fd_clf@drs<1000": lambda i: i // 2 % 2,
    "fd_clf@mh<1000": lambda i: False,
    "tag:paper": lambda i: i % 3 == 0,
    "tag:t*": lambda i: i % 3 == 0,
    "tag=paper,t1": lambda i: i % 3 == 0,
    "tag=none": lambda i: i % 3,
    "name:abc*": lambda i: i in (0, 1),
    "name:?bc-1": lambda i: i == 0,
    "name:100%_!": lambda i: i == 4,
    "name:%": lambda i: False,
    "name=none": lambda i: i == 2,
    "name==1+1": lambda i: i == 5,
    f"name={NAMES[6]}": lambda i: i == 6,
    f"name={LONG[:200]}": lambda i: i == 7,
    f"name={LONG}": lambda i: False,
    f"name={HOSTILE}": lambda i: False,
    f"model={HOSTILE}": lambda i: False,
    f"tag:{HOSTILE}": lambda i: False,
    f"lr={HOSTILE}": lambda i: False,
    "device=cpu": lambda i: True,
    "cpu:a cpu": lambda i: True,
    "started>2001": lambda i: True,
    "finished=none": lambda i: i == 5 and None,
    "a=b": lambda i: i == 3,
}


@pytest.mark.parametrize("word", CASES, ids=lambda word: word[:20])
def test_a_filter_selects_what_plain_python_selects_and_its_opposite_the_rest(store, word):
    wanted = {i for i in range(len(NAMES)) if CASES[word](i)}
    if word != "finished=none":  # a failed run has ended too
        assert seeds(store, word) == wanted
    one = parse([word])[0]
    if one.operator == "=" and word != "a=b":
        opposite = store.runs(where=[one._replace(operator="!=")])
        assert {run.seed for run in opposite} == set(range(len(NAMES))) - seeds(store, word)


def test_filters_hold_together_and_a_word_may_contain_several(store):
    for a, b in itertools.combinations(("model=gan", "seed>2", "tag:paper", "fd_clf>25"), 2):
        both = seeds(store, a) & seeds(store, b)
        assert seeds(store, a, b) == seeds(store, f"{a}  {b}") == both


def test_references_select_each_of_their_runs(store):
    newest = store.run("@1")
    assert seeds(store, "@1", "abc-1", newest.id[:8]) == {7, 0}
    assert seeds(store, "run!=@1") == set(range(7))
    assert seeds(store, "@1", "model=gan") == set()
    assert seeds(store, newest.experiment[:6].join(("experiment=", ""))) == {7}


@pytest.mark.parametrize("text", ["{0:%Y}", "{0:%Y-%m}", "{0:%Y-%m-%d}", "{0:%Y-%m-%dT%H:%M}"])
def test_a_time_is_its_whole_period(store, text):
    from datetime import datetime

    run = store.runs(where=parse(["seed=3"]))[0]
    period = text.format(datetime.fromisoformat(run.started_at or ""))
    others = {r.seed for r in store.runs() if not (r.started_at or "").startswith(period)}
    assert seeds(store, f"started={period}") == set(range(8)) - others
    inside = seeds(store, f"started>={period}", f"started<={period}")
    assert inside == seeds(store, f"started={period}")
    assert not seeds(store, f"started<{period}") & inside
    assert not seeds(store, f"started>{period}") & inside


def test_a_comma_of_a_value_is_written_with_a_backslash():
    assert parse([r"name=a\,b,c"]) == [Filter("name", "=", ("a,b", "c"))]
    assert parse(["widths=[8,3]"]) == [Filter("widths", "=", ("[8,3]",))]


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("modle=gan", UnknownNameError, "did you mean 'model'"),
        ("lrr>1", UnknownNameError, "did you mean 'lr'"),
        ("fd_cfl<3", UnknownNameError, "did you mean 'fd_clf'"),
        ("status=finishd", UnknownNameError, "did you mean 'finished'"),
        ("fd_clf<abc", UsageError, "needs a number, not 'abc'"),
        ("seed<1,2", UsageError, "a single value"),
        ("seed=nan", UsageError, "needs a number"),
        ("name<3", UsageError, "which is a text"),
        ("run>@1", UsageError, "a reference to a run"),
        ("started>soon", UsageError, "needs a UTC time"),
        ("started>2026-13", UsageError, "needs a UTC time"),
        ("started>9999", UsageError, "needs a UTC time"),
        ("model=", UsageError, "has no value"),
        ("name:" + LONG, UsageError, "at most 1,000 characters"),
        ("gan", NoSuchRunError, "To select runs by model: model=gan"),
        ("nosuch", NoSuchRunError, "See: genbench runs"),
    ],
    ids=lambda value: value[:16] if isinstance(value, str) else "",
)
def test_a_filter_that_can_not_be_used_says_why(store, word, error, said):
    with pytest.raises(error, match=said) as caught:
        store.runs(where=parse([word]))
    assert type(caught.value) is error


def test_every_known_key_can_be_filtered_and_sorted_by(store):
    keys = known_keys(store)
    assert {"model", "lr", "fd_clf", "tag", "started", "status", "dataset"} <= set(keys)
    for key in keys:
        for sort in (key, "-" + key):
            assert len(store.runs(sort=sort)) == len(NAMES)
        store.runs(where=[Filter(key, "!=", ("none",))] if key != "status" else ())


def test_runs_are_sorted_by_scores_settings_and_fields_with_unknown_values_last(store):
    def order(sort):
        return [run.seed for run in store.runs(sort=sort)]

    assert order("fd_clf") == [1, 2, 3, 4, 5, 6, 7, 0]
    assert order("-fd_clf") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert order("lr") == [7, 5, 3, 1, 6, 4, 2, 0]
    assert order("-seed") == [7, 6, 5, 4, 3, 2, 1, 0]
    with pytest.raises(UnknownNameError, match="did you mean 'fd_clf'"):
        order("fd_cfl")


def test_a_query_sees_only_the_runs_of_its_filters(store):
    sqls = {
        "select count(*) from runs": 4,
        "select count(*) from v_runs": 4,
        "select count(distinct run) from epochs": 4,
        "select count(distinct id) from v_scores": 3,
        "select count(*) from run_tags": 4,
        "select count(*) from (select run from runs union select run from stages)": 4,
    }
    where = parse(["model=gan"])
    for sql, wanted in sqls.items():
        with store.stream(sql, where) as (_, rows):
            assert list(rows) == [(wanted,)], sql
    for bad in ("delete from runs", "drop view runs", "insert into selected_runs values (1, '')"):
        with pytest.raises(UsageError, match=r"only reads|cannot modify"), store.stream(bad, where):
            pass
    assert len(store.runs()) == len(NAMES)


# --- through the command line


@pytest.fixture
def hostile(filled, genbench):
    """The filled store with a run of a hostile name and tag."""
    filled.add("vae", seed=9, score=5.0, name="=a|b\u202e<script>\x1b", tags=("<b>,\x07",))
    return genbench


def test_options_are_shorthands_of_filters(hostile):
    for flag, word in (
        (("--model", "gan"), "model=gan"),
        (("--dataset", "mnist"), "dataset=mnist"),
        (("--tag", "<b>,\x07"), "tag=<b>\\,\x07"),
    ):
        for command in ("runs", "compare"):
            assert hostile(command, *flag, "--json") == hostile(command, word, "--json")
    said = hostile("runs", "--status", "finished", "--json")
    assert said == hostile("runs", "status=finished", "--json")


@pytest.mark.parametrize("format", ["table", "md", "latex", "csv"])
@pytest.mark.parametrize("command", ["runs", "compare", "query"])
def test_hostile_values_are_harmless_in_every_format(hostile, command, format):
    words = ["name:=a*", "tag:<b>*", "fd_clf<6"]
    given = ["select name from runs"] if command == "query" else words
    given += itertools.chain(*(("--where", word) for word in words)) if command == "query" else ()
    said = hostile(command, *given, "--format", format)
    assert said.code == 0, said.err
    for text in (said.out, said.err):
        assert not any(not c.isprintable() and c != "\n" for c in text)
    if format == "md":
        assert "<script>" not in said.out
    if format == "csv":
        assert not any(
            cell.startswith(("=", "@")) for row in csv.reader(io.StringIO(said.out)) for cell in row
        )


@pytest.mark.parametrize(
    "word", ["\x1b[2J=1", "\x1b", "x\u202e>1", "=1+1", "<script>", "name:" + LONG]
)
def test_a_hostile_word_is_answered_in_one_clean_line(filled, genbench, word):
    for command in (("runs", word), ("compare", word), ("query", "select 1", "--where", word)):
        said = genbench(*command)
        assert said.code in (2, 3)
        assert said.err.count("\n") == 1
        assert all(c.isprintable() or c == "\n" for c in said.err)


def test_compare_takes_runs_and_says_what_the_filters_leave_out(filled, genbench):
    runs = {run.model: run.id for run in filled.store.runs()}
    said = genbench("compare", *runs.values())
    assert said.code == 0
    assert {line.split()[0] for line in said.out.splitlines()[3:]} == set(runs)
    assert "leave out finished runs of the same experiment: " in said.err
    assert "gan (1 of 3)" in said.err
    assert "leave out" not in genbench("compare", "model=gan").err


def test_report_takes_the_same_filters(filled, genbench, tmp_path):
    assert genbench("report", "model=vaegan", "--out", "page.html").code == 0
    assert "gan on mnist" in (tmp_path / "page.html").read_text()
    assert genbench("report", "model=stylegan").code == 3


def test_the_examples_of_the_documentation_are_understood(store):
    words = shlex.split("model=vaegan dataset=mnist 'fd_clf<20' 'lr>=1e-4' tag:paper 'name:abc*'")
    assert [one.key for one in parse(words)] == ["model", "dataset", "fd_clf", "lr", "tag", "name"]
    store.runs(where=parse(words))
