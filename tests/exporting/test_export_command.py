"""``genbench export RUN --format``: files that draw the run's samples without genbench."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine

ALONE = """
import json, sys
sys.modules["genbench"] = None
import numpy, torch, onnxruntime

extra = {"genbench.json": ""}
network = torch.jit.load("generator.pt", _extra_files=extra)
about = json.loads(extra["genbench.json"])
session = onnxruntime.InferenceSession("generator.onnx")
same = json.loads(session.get_modelmeta().custom_metadata_map["genbench"])
n, (_, size) = 12, about["inputs"]["z"]["shape"]
z = torch.randn(n, size, generator=torch.Generator().manual_seed(3))
y = torch.arange(n) % len(about["inputs"]["y"]["class_names"])
found = [network(z, y).numpy(), session.run(["x"], {"z": z.numpy(), "y": y.numpy()})[0]]
pixels = [numpy.clip(numpy.round((x + 1) * 127.5), 0, 255).astype("uint8") for x in found]
numpy.savez("alone.npz", torchscript=pixels[0], onnx=pixels[1])
assert not any(name.startswith("genbench") for name, m in sys.modules.items() if m)
print(json.dumps([about, same]))
"""
"""What another program does with the files, as docs/export.md has it."""


@pytest.fixture(scope="module")
def trained(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    sizes = ("--set", "network=mlp", "--set", "g_hidden=[8]", "--set", "d_hidden=[8]")
    short = ("--epochs", "1", "--epoch-images", "200", "--samples", "20", "--no-watch")
    metric = ("--metric", "fd_pixel")
    said = command_line("run", "cgan", "digits", *sizes, *short, *metric, folder=folder)
    assert said.code == 0, said.err
    return folder


def test_files_draw_the_runs_samples_where_genbench_cannot_be_imported(
    trained: Path, command_line: CommandLine
) -> None:
    pytest.importorskip("onnxruntime")

    def done(*arguments: str) -> Any:
        said = command_line(*arguments, folder=trained)
        assert said.code == 0, said.err
        return said

    said = done("export", "@1", "--format", "torchscript", "--out", "generator.pt")
    assert "z (batch, 100) ~ N(0, I), y (batch,) of 10 classes -> x (batch, 1, 28, 28)" in said.err
    told = json.loads(
        done("export", "@1", "--format", "onnx", "--out", "generator.onnx", "--json").out
    )
    done("sample", "@1", "-n", "12", "--seed", "3", "--out", "samples.npz")
    alone = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=trained, check=False, capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stderr
    about, same = json.loads(alone.stdout)
    assert about == same
    assert about == {key: told[key] for key in about}
    assert told["max_difference"] < 1e-5
    shown = json.loads(done("show", "@1", "--json").out)
    assert about["run"] == shown["run"]
    with np.load(trained / "samples.npz") as samples, np.load(trained / "alone.npz") as files:
        images = samples["images"].transpose(0, 3, 1, 2)
        assert (files["torchscript"] == images).all()
        # ONNX Runtime adds in another order: a value may round to the next grey level.
        assert np.abs(files["onnx"].astype(int) - images).max() <= 1


def test_what_cannot_be_exported_is_said_in_one_sentence(
    trained: Path, command_line: CommandLine
) -> None:
    for arguments, words in (
        (("@1", "--format", "torch", "--out", "x.onnx"), "expected the name of a file in .pt2"),
        (("@1", "@1", "--format", "torch"), "--format takes one run"),
        (("@1", "--format", "torch", "--out", "runs/x.pt2"), "which holds the runs"),
        (("a.zip", "@1", "--out", "x.pt2"), "--out belongs to --format"),
        (("@1", "--format", "pickle"), "'torch', 'onnx', 'torchscript'"),
    ):
        said = command_line("export", *arguments, folder=trained)
        assert said.code == 2, said.err
        assert words in said.err.replace("\n", " "), said.err
    assert not list(trained.glob("*.pt2"))
