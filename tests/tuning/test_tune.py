"""``genbench tune``: a search with trials that are runs like any other."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from closed_form import Stage
from command_line import in_process
from needs import needs

from genbench.spec import RunSpec
from genbench.store import Store, claims, tunings
from genbench.store.tasks import runs_made_by
from genbench.work.children import Command, Ended
from genbench.work.next_command import next_command

pytestmark = needs("optuna", "tune")

NETS = ("--set", "g_hidden=[8]", "--set", "d_hidden=[8]", "--set", "data.size=8")
SHORT = ("--limit", "epochs=2", "--batch-size", "240", "--device", "cpu", "--samples", "64")
TUNE = ("tune", "gan", "digits", *NETS, *SHORT, "--metric", "fd_pixel")
SEARCH = ("tune", "gan", "digits", "--device", "cpu", "--metric", "fd_clf", "--limit", "epochs=2")
SPACE = ("--set", "g_lr=1e-4..1e-2", "--set", "n_critic=1,2")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys) -> list[Command]:
    """Carry the commands of a tuning out in this process, as they are, one after the other."""
    carried_out: list[Command] = []

    def carry_out(tasks, *, should_stop, ended, **options) -> bool:
        waiting = list(tasks)
        while waiting and not should_stop():
            task = waiting.pop(0)
            capsys.readouterr()
            with pytest.MonkeyPatch.context() as patch:
                for name, value in task.environ.items():
                    patch.setenv(name, value)
                code = in_process(*task.arguments)
            carried_out.append(task)
            said = capsys.readouterr()
            errors = [x for x in said.err.splitlines() if x.startswith("genbench: error: ")]
            answer = json.loads(said.out) if said.out.startswith("{") else {}
            error = errors[-1].removeprefix("genbench: error: ") if errors else ""
            end = Ended(command=task, code=code, answer=answer, error=error, seconds=0.0)
            waiting = [*ended(end), *waiting]
        return not waiting

    monkeypatch.setattr("genbench.tuning.trials.carry_out", carry_out)
    return carried_out


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, capsys) -> Stage:
    """The commands of a tuning are played; the best score is at g_lr 1e-3 and n_critic 1."""

    def score(spec: RunSpec, share: float) -> float:
        settings = spec.model_settings
        return 10 * abs(math.log10(settings["g_lr"]) + 3) + settings["n_critic"] + 1 / share

    made = Stage(capsys=capsys, score=score)
    monkeypatch.setattr("genbench.tuning.trials.carry_out", made.carry_out)
    return made


def test_each_trial_is_a_run_like_any_other(genbench, inside, tmp_path: Path) -> None:
    arguments = (*TUNE, *SPACE, "--name", "s", "--trials", "1", "--top", "1", "--confirm", "1")
    found = genbench(*arguments, "--store", "own.db", "--json").json
    assert found["trials"] == {"done": 1}
    [winner] = found["best"]
    with Store.open(tmp_path / "own.db", mode="read") as store:
        runs = {run.name: run for run in store.runs(tag="tune:s")}
        assert sorted(runs) == ["s-0", "s-0-confirm-0"]
        assert all(run.epochs_done == 2 for run in runs.values())
        assert winner["reported"] == [store.scores(runs["s-0"].id)[0].value]
    tables = genbench("compare", "--store", "own.db", "--json").json["datasets"]
    assert [(t["dataset_settings"]["scored_on"], len(t["rows"])) for t in tables] == [
        ("search", 1),
        ("validation", 1),
    ]
    # Its address may have a password, and all users of a machine can read arguments.
    assert len(inside) == 2
    assert not any("own.db" in word for task in inside for word in task.arguments)


def test_the_best_are_confirmed_on_fresh_seeds_and_a_search_goes_on(
    genbench, stage, tmp_path: Path
) -> None:
    arguments = (*SEARCH, *SPACE, "--name", "s", "--trials", "3", "--top", "1", "--confirm", "2")
    files = ("--export-optuna", "s.db", "--pictures", "pictures")
    found = genbench(*arguments, *files, "--json").json
    [winner] = found["best"]
    assert len(winner["confirmed"]) == 2
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        runs = {str(run.name): run for run in store.runs()}
        specs = {name: RunSpec.from_json(run.spec) for name, run in runs.items()}
        values = [store.scores(runs[f"s-{n}"].id)[0].value for n in range(3)]
    assert {specs[f"s-{n}"].scored_on for n in range(3)} == {"search"}
    assert [specs[f"s-{n}"].seed for n in range(3)] == [0, 1, 2]
    confirming = [spec for name, spec in specs.items() if "confirm" in name]
    assert {spec.scored_on for spec in confirming} == {"validation"}
    assert sorted(spec.seed for spec in confirming) == [1_000_000, 1_000_001]
    assert {json.dumps(s.model_settings) for s in confirming} == {
        json.dumps(specs[f"s-{winner['trial']}"].model_settings)
    }
    import optuna

    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    assert (study.best_value, len(study.trials)) == (min(values), 3)
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"settings.svg", "trials.svg"}
    assert genbench(*arguments, "--json").json["best"] == found["best"]
    more = genbench("tune", "--resume", "s", "--trials", "4", "--json")
    assert more.json["trials"] == {"done": 4}
    played = len(stage.played)
    table = genbench("tune", "--resume", "s", "--table-only")
    assert len(stage.played) == played
    assert "reported fd_clf" in table.out
    assert "The two are never ranked against each other" in table.err
    assert "next, on the test split: genbench run gan digits" in table.err


def test_the_defaults_are_confirmed_beside_the_best_with_the_same_seeds(
    genbench, stage, tmp_path: Path
) -> None:
    more = ("--trials", "3", "--top", "1", "--confirm", "3", "--against-defaults", "--name", "s")
    stage.score = lambda spec, share: spec.model_settings["g_lr"] + 1e-6 * (spec.seed % 10)
    found = genbench(*SEARCH, "--set", "g_lr=1e-5..1e-3", *more, "--json").json
    defaults, [winner] = found["defaults"], found["best"]
    assert (defaults["trial"], defaults["settings"]) == (0, {"g_lr": 2e-4})
    assert winner["trial"] != 0
    difference = winner["against_defaults"]["difference"]
    assert difference == pytest.approx(winner["settings"]["g_lr"] - 2e-4)
    assert winner["against_defaults"]["distinguishable"] is True
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        specs = [RunSpec.from_json(run.spec) for run in store.runs() if "confirm" in str(run.name)]
    seeds = [(spec.model_settings["g_lr"] == 2e-4, spec.seed % 1_000_000) for spec in specs]
    assert sorted(seeds) == [(False, 0), (False, 1), (False, 2), (True, 0), (True, 1), (True, 2)]
    told = genbench("tune", "--resume", "s", "--table-only").err
    assert f"trial {winner['trial']} against the defaults: fd_clf {difference:+.4g} (" in told


def test_each_repeat_is_told_with_its_own_score_in_whatever_order_they_end(
    genbench, stage, monkeypatch
) -> None:
    def carry_out(commands, **options):
        return stage.carry_out(reversed([*commands]), **options)

    monkeypatch.setattr("genbench.tuning.trials.carry_out", carry_out)
    stage.score = lambda spec, share: None if spec.seed == 1_000_002 else 1.0 + spec.seed % 1_000
    more = ("--trials", "1", "--top", "1", "--confirm", "3", "--jobs", "2")
    said = genbench(*SEARCH, *SPACE, *more)
    told = [line for line in (stage.said + said.err).splitlines() if " again with " in line]
    assert told == [
        "trial 0 again with seed 1000001: fd_clf 2",
        "trial 0 again with seed 1000002: failed",
        "trial 0 again with seed 1000000: fd_clf 1",
    ]


def test_a_report_shows_a_search_in_sentences_and_pictures(genbench, stage, tmp_path: Path) -> None:
    two = ("--objective", "fd_clf", "--objective", "seconds", "--confirm", "2", "--top", "1")
    genbench(*SEARCH, *SPACE, *two, "--trials", "5", "--name", "<s>")
    assert genbench("report", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 4
    for caption in ("Scores over", "What the score depends on", "Settings side by side", "Pareto"):
        assert f"<figcaption>{caption}" in page
    assert "tpe over g_lr, n_critic for fd_clf and seconds; trials of 2 epochs: 5 done" in page
    assert "confirmed" in page
    assert "genbench tune --resume &lt;s&gt; --table-only" in page
    genbench("report", "--out", "page.md", "model=gan")
    text = (tmp_path / "page.md").read_text()
    assert "## Searches for settings" in text


def test_a_trial_with_an_infinite_score_or_refused_settings_fails_alone(genbench, stage) -> None:
    def score(spec: RunSpec, share: float) -> float | None:
        settings = spec.model_settings
        wrong = math.nan if settings["r1"] else None
        return wrong if settings["g_lr"] == 1e30 else 1.0

    stage.score = score
    diverging = ("--set", "g_lr=1e-3,1e30", "--set", "gradient_penalty=0,1")
    diverging += ("--set", "r1=0,0.1")
    said = genbench(*SEARCH, *diverging, "--search", "grid", "--trials", "99", "--json")
    assert said.code == 0, said.err
    assert said.json["trials"] == {"done": 3, "failed": 5}
    told = stage.said + said.err
    assert told.count("the model refuses its settings: model 'gan': r1 pulls D's slope") == 2
    assert "failed: the loss is not finite" in told
    assert "failed: its score is not finite" in told
    assert {one["settings"]["g_lr"] for one in said.json["best"]} == {"1e-3"}


def test_a_pruned_trial_is_a_run_that_can_be_resumed(genbench, stage, tmp_path: Path) -> None:
    rates = ("--set", "g_lr=1e-3,2e-3,3e-3,4e-3,1e-1,2e-1", "--search", "grid")
    pruner = ("--pruner", "median", "--trials", "6", "--name", "p")
    said = genbench(*SEARCH[:-1], "epochs=20", *rates, *pruner, "--json")
    assert said.json["trials"] == {"done": 4, "pruned": 2}
    assert "pruned" in genbench("runs").out
    assert "genbench resume" in genbench("show", "p-5").out
    with Store.open(tmp_path / "runs.db") as store:
        pruned = store.run("p-5")
        assert 0 < pruned.epochs_done < 20
        assert store.take_over(pruned.id).status.value == "running"


def test_a_limit_in_seconds_is_measured_once_for_all_learning_rates(genbench, stage) -> None:
    more = ("--set", "g_lr=1e-4..1e-2", "--set", "batch_size=60,120", "--limit", "seconds=6")
    said = genbench(*SEARCH[:-2], *more, "--trials", "4", "--confirm", "1", "--top", "1", "--json")
    assert said.json["trials"] == {"done": 4}
    assert [words[0] for words in stage.played].count("pace") == 2
    assert {_option(words, "--epochs") for words in stage.played if words[0] == "run"} == {"10"}


# --- in the queue


ENQUEUED = ("--trials", "2", "--top", "1", "--confirm", "1")


def test_workers_make_the_trials_that_an_unbroken_search_makes(
    genbench, stage, tmp_path: Path, monkeypatch
) -> None:
    alone = genbench(*SEARCH, *SPACE, *ENQUEUED, "--store", "alone.db", "--json").json
    told = genbench(*SEARCH, *SPACE, *ENQUEUED, "--name", "q", "--enqueue", "--json").json
    assert told["batch"] == "tune:q"
    assert told["enqueued"] == 3
    assert "3 tasks of this tuning are in the queue" in genbench("tune", "--resume", "q").err
    with Store.open(tmp_path / "runs.db") as store:
        while task := claims.claim(store, ["auto", "cpu"]):
            monkeypatch.setenv("GENBENCH_TASK", task.claim)
            assert runs_made_by(store, task) == []
            said = genbench(*task.command)
            assert said.code == 0, said.err
            assert runs_made_by(store, task) == [said.json["run"]]
            again = genbench(*task.command)
            assert again.json == said.json
            assert next_command(task, [store.run(said.json["run"])], {}, ended=True) is None
            claims.done(store, task, {})
    monkeypatch.delenv("GENBENCH_TASK")
    assert [words[0] for words in stage.played].count("run") == 6
    shown = genbench("tune", "--resume", "q", "--table-only", "--json").json
    for found in (*alone["best"], *shown["best"]):
        del found["run"]
    assert shown["best"] == alone["best"]
    assert shown["trials"] == {"done": 2}
    more = genbench("tune", "--resume", "q", "--enqueue", "--trials", "3", "--json").json
    assert more["enqueued"] == 2


def test_a_task_of_a_trial_resumes_what_a_dead_worker_has_left(
    genbench, stage, tmp_path: Path
) -> None:
    genbench(*SEARCH, *SPACE, "--trials", "1", "--name", "q", "--enqueue")
    finish, stage.play = stage.play, lambda command: _die(finish, command)
    assert genbench("trial", "q", "0").code == 1
    stage.play = finish
    assert genbench("trial", "q", "0").json["state"] == "done"
    assert [words[0] for words in stage.played] == ["run", "resume"]
    assert "give the number of a trial" in genbench("trial", "q").err
    assert "unknown tuning 'p'" in genbench("trial", "p", "0").err


def _die(play, command):
    """A run that is interrupted at its first epoch."""
    return play(replace(command, enough=lambda: True))


def _option(words, name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "g_lr=1e-2..1e-4"), "must go from a lower number to a higher one"),
        (("--set", "g_lr=-1..1"), "it must be more than 0"),
        (("--set", "beta1=0..1"), "it must be less than 1"),
        (("--set", "nothing=1..2"), "has no setting 'nothing'"),
        (("--space", "lucic"), "unknown space 'lucic'; did you mean 'lucic2018'"),
        (("--search", "bayes"), "--search bayes: it is one of tpe, random, grid, gp, nsga-ii"),
        (("--limit", "steps=5"), "expected seconds=60 or epochs=20"),
        (("--budget", "soon"), "expected a time such as 90s, 30min or 2h"),
        (("--objective", "fd_klf"), "unknown objective 'fd_klf'"),
        (
            ("--objective", "fd_clf", "--objective", "seconds", "--pruner", "asha"),
            "--pruner asha needs one objective",
        ),
        (("--search", "grid"), "--search grid needs choices"),
        (("--resume", "x"), "leave out the rest of it"),
        (("--priority", "1"), "add --enqueue"),
        (("--table-only",), "name it with --resume NAME"),
        (("--against-defaults",), "add --confirm 5"),
        (
            ("--against-defaults", "--confirm", "2", "--set", "g_lr=1e-3..1e-2"),
            "widen the space so that it holds them",
        ),
    ],
)
def test_a_tuning_that_can_not_be_made_is_one_sentence_before_anything_trains(
    genbench, tmp_path: Path, arguments, message: str
) -> None:
    said = genbench("tune", "gan", "digits", *arguments)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("genbench: error:") == 1
    assert not (tmp_path / "runs.db").exists()


def test_an_empty_space_is_one_sentence(genbench) -> None:
    fixed = [f"--set={name}=0.5" for name in ("g_lr", "d_lr", "beta1", "beta2")]
    said = genbench("tune", "gan", "digits", *fixed)
    assert (said.code, "there is nothing to tune" in said.err) == (2, True)


def test_without_optuna_one_sentence_says_what_to_install(genbench, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = genbench("tune", "gan", "digits")
    assert said.code == 2
    assert "needs the package 'optuna'" in said.err
    assert "genbench[tune]" in said.err


@pytest.mark.slow
@pytest.mark.timeout(3_600)  # on a busy machine a trial of five seconds takes minutes
def test_a_search_that_is_killed_at_five_random_moments_ends_with_all_of_its_trials(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    command = [sys.executable, "-m", "genbench", "tune", "gan", "digits", "--trials", "20"]
    command += ["--limit", "seconds=5", "--metric", "fd_pixel", "--name", "k"]
    draw = random.Random(0)
    for kill in range(6):
        process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
        request.addfinalizer(process.kill)
        if kill < 5:
            time.sleep(draw.uniform(5, 60))
            os.kill(process.pid, signal.SIGKILL)
        code = process.wait()
    assert code == 0
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        runs = store.runs(tag="tune:k")
        assert sorted(str(run.name) for run in runs) == sorted(f"k-{n}" for n in range(20))
        assert {run.status.value for run in runs} == {"finished"}
        [record] = tunings.tunings(store)
        assert [one.run for one in tunings.proposals(store, record.number)] == [
            store.resolve(f"k-{n}") for n in range(20)
        ]
