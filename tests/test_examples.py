"""The examples run as their first lines say."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_the_first_run_from_python_prints_scores_and_draws(tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "first_run.py"), "vae", "digits"],
        cwd=tmp_path,
        env={**os.environ, "GENBENCH_EPOCHS": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "fd_clf" in done.stdout
    assert Path(tmp_path, done.stdout.splitlines()[-1]).exists()


def test_the_sweep_ends_with_a_table_of_three_seeds_each(tmp_path):
    scripts = Path(sys.executable).parent
    (tmp_path / "genbench.toml").write_text("[model.vaegan]\nvae_epochs = 1\n")
    done = subprocess.run(
        ["sh", str(EXAMPLES / "sweep.sh"), "digits", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "GENBENCH_METRICS": "fd_pixel",
        },
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert {(row[0], row[1]) for row in rows if row and row[0] in ("gan", "vaegan")} == {
        ("gan", "3"),
        ("vaegan", "3"),
    }


@pytest.mark.filterwarnings("ignore")
def test_every_cell_of_the_notebook_runs(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="pip install 'genbench[pandas]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("GENBENCH_METRICS", "fd_pixel")
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    (tmp_path / "genbench.toml").write_text("watch = false\n[data.digits]\nsize = 8\n")
    names: dict[str, object] = {}
    for cell in cells:
        exec(cell.replace("EPOCHS = 20", "EPOCHS = 1"), names)
    assert names["way"].shape == (8, 8, 8, 1)
    assert len(names["scores"]) == 4
    assert not any(c.get("outputs") for c in notebook["cells"])


def test_the_store_of_the_report_is_trained_once_and_reported(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("report_runs", EXAMPLES / "report_of_24_runs.py")
    assert spec is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert [len(models) for models in example.MODELS.values()] == [4, 4]
    assert len(example.SEEDS) == 3
    monkeypatch.setattr(example, "SEEDS", (0,))
    small = example.MODELS["gaussians-25"]["gan"]
    monkeypatch.setattr(example, "MODELS", {"gaussians-25": {"gan": small}})
    monkeypatch.setattr(example, "DATA", {"gaussians-25": ["data.train=600", "data.test=200"]})
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            example.main(str(tmp_path), "1")
        assert ended.value.code == 0
    assert "1 finished run of 1 experiment" in (tmp_path / "report.html").read_text()
