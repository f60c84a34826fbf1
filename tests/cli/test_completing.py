"""What the shell offers after <TAB>, fast and without a word on the screen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genbench.registry import Registry
from genbench.store import Store

CODE = """
import os, sys
from genbench.cli import main
try:
    main()
except SystemExit:
    pass
assert not {'torch', 'numpy', 'alembic', 'sqlalchemy'} & set(sys.modules), 'heavy'
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, command_line):
    """A store of one run, which was written by the store itself."""
    from genbench.spec import RunSpec

    folder = tmp_path_factory.mktemp("complete")
    with Store.open(folder / "runs.db", mode="create") as store:
        spec = RunSpec(model="vae", dataset="digits", epochs=1, batch_size=10)
        run = store.create_run(
            spec, name="first", tags=("paper",), stages=[("train", 1)], environment={}
        )
        store.finish(run.id)
    return folder


@pytest.fixture
def tab(command_line, folder):
    """The words that are offered for a line; the open word is its last."""

    def offered(line: str, **env: str) -> list[str]:
        words = f"genbench {line}"
        asked = {
            "_GENBENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        answer = command_line(folder=folder, env={**asked, **env})
        assert answer.err == ""
        return answer.out.split()

    return offered


def test_models_and_data_sets_are_offered(tab):
    assert set(tab("run va")) == {
        r.name for r in Registry.from_environment().of("model") if r.name.startswith("va")
    }
    assert "digits" in tab("run vae dig")
    assert tab("run nothing-is-called-so") == []


def test_presets_are_those_of_the_model(tab):
    offered = tab("run vae mnist --preset ")
    assert "lin2023" in offered
    assert set(offered) == {p.name for p in Registry.from_environment().presets("vae")}


def test_settings_are_those_of_the_model_and_of_all_parts(tab):
    assert tab("run vae digits --set z_") == ["z_dim="]
    assert "data.size=" in tab("run vae digits --set data.")
    assert "sampler.ddls.eps=" in tab("run gan digits --set sampler.ddls.")
    assert tab("rerun first --set z_") == ["z_dim="]


def test_metrics_samplers_and_listeners_are_offered(tab):
    assert "fd_clf" in tab("run vae digits --metric fd")
    assert "plain" in tab("evaluate first --sampler pl")
    assert tab("run vae digits --listen tens") == ["tensorboard"]


def test_runs_are_offered_by_name_and_id_and_tags_by_name(tab, folder):
    with Store.open(folder / "runs.db", mode="read") as store:
        run = store.resolve("first")
    assert tab("show ") == ["first", run]
    assert tab(f"archive {run[:4]}") == [run]
    assert tab("edit first --untag p") == ["paper"]


def test_where_there_is_no_store_nothing_is_offered_or_said(tab, tmp_path):
    assert tab("show ", GENBENCH_STORE=str(tmp_path / "none.db")) == []
    (tmp_path / "broken.db").write_bytes(b"no store")
    assert tab("show ", GENBENCH_STORE=str(tmp_path / "broken.db")) == []


def test_completing_loads_nothing_heavy(folder):
    import os

    env = {**os.environ, "_GENBENCH_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    env["COMP_WORDS"] = "genbench run vae digits --set z_"
    env["COMP_CWORD"] = "5"
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=folder, env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()) == (0, ["z_dim="]), done.stderr
