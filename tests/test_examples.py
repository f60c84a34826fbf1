"""The examples run as their first lines say."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> Any:
    """A script of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_run_from_python_prints_scores_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example("first_run").main("vae", "digits", epochs=2)
    said = capsys.readouterr().out
    assert "fd_clf" in said
    assert Path(said.splitlines()[-1]).exists()


def test_the_sweep_ends_with_a_table_of_three_seeds_each(command_line, tmp_path):
    scripts = command_line.python.parent
    (tmp_path / "genbench.toml").write_text(
        "watch = false\n[model.vaegan]\nvae_epochs = 1\n[data.digits]\nsize = 8\n"
    )
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
    report = example("report_of_24_runs")
    assert [len(models) for models in report.MODELS.values()] == [4, 4]
    assert len(report.SEEDS) == 3
    monkeypatch.setattr(report, "SEEDS", (0,))
    small = report.MODELS["gaussians-25"]["gan"]
    monkeypatch.setattr(report, "MODELS", {"gaussians-25": {"gan": small}})
    monkeypatch.setattr(report, "DATA", {"gaussians-25": ["data.train=600", "data.test=200"]})
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            report.main(str(tmp_path), "1")
        assert ended.value.code == 0
    assert "1 finished run of 1 experiment" in (tmp_path / "report.html").read_text()
