"""``genbench tune``: a search whose trials are runs like any other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import in_process

from genbench.spec import RunSpec
from genbench.store import Store, tunings
from genbench.work.children import Ended

optuna = pytest.importorskip("optuna")

NETS = ("--set", "g_hidden=[8]", "--set", "d_hidden=[8]", "--set", "data.size=8")
SHORT = ("--limit", "epochs=2", "--batch-size", "240", "--device", "cpu", "--samples", "64")
TUNE = ("tune", "gan", "digits", *NETS, *SHORT, "--metric", "fd_pixel")
SPACE = ("--set", "g_lr=1e-4..1e-2", "--set", "n_critic=1,2")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Carry the commands of a tuning out in this process, as they are, one after the other."""

    def carry_out(tasks, *, should_stop, ended, **options) -> bool:
        waiting = list(tasks)
        while waiting and not should_stop():
            task = waiting.pop(0)
            capsys.readouterr()
            code = in_process(*task.arguments)
            said = capsys.readouterr()
            errors = [x for x in said.err.splitlines() if x.startswith("genbench: error: ")]
            answer = json.loads(said.out) if said.out.startswith("{") else {}
            error = errors[-1].removeprefix("genbench: error: ") if errors else ""
            end = Ended(command=task, code=code, answer=answer, error=error, seconds=0.0)
            waiting = [*ended(end), *waiting]
        return not waiting

    monkeypatch.setattr("genbench.tuning.work.carry_out", carry_out)


def test_a_search_is_made_of_runs_and_the_best_are_confirmed_on_fresh_seeds(
    genbench, inside, tmp_path: Path
) -> None:
    arguments = (*TUNE, *SPACE, "--name", "s", "--trials", "3", "--top", "1", "--confirm", "2")
    files = ("--export-optuna", "s.db", "--pictures", "pictures")
    said = genbench(*arguments, *files, "--json")
    assert said.code == 0, said.err
    found = said.json
    assert found["trials"] == {"done": 3}
    [winner] = found["best"]
    assert len(winner["confirmed"]) == 2
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        runs = {run.name: run for run in store.runs()}
        assert sorted(runs) == [
            "s-0",
            "s-1",
            "s-2",
            *(f"s-{winner['trial']}-confirm-{k}" for k in "01"),
        ]
        specs = {name: RunSpec.from_json(run.spec) for name, run in runs.items()}
        assert all("tune:s" in run.tags and run.epochs_done == 2 for run in runs.values())
        assert {specs[f"s-{n}"].scored_on for n in range(3)} == {"search"}
        assert [specs[f"s-{n}"].seed for n in range(3)] == [0, 1, 2]
        confirming = [spec for name, spec in specs.items() if "confirm" in name]
        assert {spec.scored_on for spec in confirming} == {"validation"}
        assert sorted(spec.seed for spec in confirming) == [1_000_000, 1_000_001]
        assert {json.dumps(s.model_settings) for s in confirming} == {
            json.dumps(specs[f"s-{winner['trial']}"].model_settings)
        }
        values = [store.scores(runs[f"s-{n}"].id)[0].value for n in range(3)]
    assert winner["reported"] == [min(values)]
    tables = genbench("compare", "--json").json["datasets"]
    assert [(t["dataset_settings"]["scored_on"], len(t["rows"])) for t in tables] == [
        ("search", 3),
        ("validation", 1),
    ]
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    assert study.best_value == min(values)
    assert len(study.trials) == 3
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "settings.svg",
        "trials.svg",
    }
    again = genbench(*arguments, "--json")
    assert again.json["best"] == found["best"]
    more = genbench("tune", "--resume", "s", "--trials", "4", "--json")
    assert more.json["trials"] == {"done": 4}
    table = genbench("tune", "--resume", "s")
    assert "reported fd_pixel" in table.out
    assert "The two are never ranked against each other" in table.err
    assert "next, on the test split: genbench run gan digits" in table.err


def test_a_trial_whose_score_is_not_finite_or_settings_are_refused_fails_alone(
    genbench, inside, tmp_path: Path
) -> None:
    diverging = ("--set", "g_lr=1e-3,1e30", "--set", "gradient_penalty=0,1", "--set", "r1=0,0.1")
    said = genbench(
        *TUNE, *diverging, "--search", "grid", "--trials", "99", "--name", "d", "--json"
    )
    assert said.code == 0, said.err
    assert sum(said.json["trials"].values()) == 8
    assert said.json["trials"]["failed"] >= 2
    assert "the model refuses its settings" in said.err
    assert "r1 pulls D's slope" in said.err
    assert all(one["settings"]["g_lr"] != "1e30" for one in said.json["best"])


def test_a_pruned_trial_is_a_run_that_can_be_resumed(genbench, tmp_path: Path) -> None:
    from genbench.tuning.history import read_history
    from genbench.tuning.question import Question, State

    said = genbench(*TUNE, *SPACE, "--pruner", "asha", "--dry-run", "--json").json
    question = Question.from_json(said["question"])
    run = (*TUNE[1:7], "--set", "data.size=8", "--batch-size", "240", "--samples", "64")
    assert genbench("run", *run, "--metric", "fd_pixel", "--epochs", "1", "--name", "p-0").code == 0
    with Store.open(tmp_path / "runs.db") as store:
        settings = {"g_lr": 1e-3, "n_critic": "1"}
        made = tunings.create(store, "p", question.digest, {})
        tunings.propose(store, made.number, settings, seed=0, notes={}, number=0)
        history = read_history(store, made, question)
        assert history.states == {0: State.DONE}
        assert list(history.trials[0].reported) == [100]
        spec = RunSpec.from_json(store.run("p-0").spec)
        other = store.create_run(spec, name="p-1", stages=[("train", 2)], environment={})
        tunings.propose(store, made.number, settings, seed=1, notes={}, number=1)
        assert read_history(store, made, question).states[1] is State.RUNNING
        store.interrupt(other.id)
        assert read_history(store, made, question).states[1] is State.WAITING
        tunings.prune(store, other.id)
        assert read_history(store, made, question).states[1] is State.PRUNED
    assert "pruned" in genbench("runs").out
    assert "genbench resume" in genbench("show", "p-1").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "g_lr=1e-2..1e-4"), "goes from a lower number to a higher one"),
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
def test_a_search_that_is_killed_at_five_random_moments_ends_with_all_of_its_trials(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "genbench", "tune", "gan", "digits", "--trials", "20"]
    command += ["--limit", "seconds=5", "--metric", "fd_pixel", "--name", "k"]
    draw = random.Random(0)
    for kill in range(6):
        process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
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
