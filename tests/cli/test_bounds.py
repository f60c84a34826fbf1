"""Numbers, names and texts that are too much: refused in one sentence, before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import CommandLine

from genbench.store import Store

HUGE = "1" + "0" * 30
PLAN = ("run", "vae", "digits", "--dry-run")
SMALL = ("--set", "data.size=8", "--set", "hidden=[8]", "--batch-size", "240", "--epochs", "1")
TRAIN = ("run", "vae", "digits", *SMALL, "--device", "cpu", "--metric", "fd_pixel", "-q")


@pytest.fixture
def genbench(genbench, tmp_path):
    """The command line, in a folder with an empty store."""
    Store.open(tmp_path / "runs.db", mode="create").close()
    return genbench


FLAGS = ["epochs", "batch-size", "seed", "accumulate", "evaluate-every", "sample-every"]
FLAGS += ["log-every", "epoch-images", "samples", "repeats"]
OTHERS = [
    ("runs", "--limit", HUGE),
    ("compare", "--limit", HUGE),
    ("report", "--limit", HUGE),
    *(("evaluate", "@1", flag, HUGE) for flag in ("--samples", "--repeats", "--seed")),
    *(("sample", "@1", flag, HUGE) for flag in ("-n", "--seed")),
    *(("reconstruct", "@1", flag, HUGE) for flag in ("-n", "--seed")),
    *(("translate", "@1", flag, HUGE) for flag in ("-n", "--seed")),
    *(("latents", "@1", flag, HUGE) for flag in ("-n", "--seed")),
    *(("rerun", "@1", flag, HUGE) for flag in ("--epochs", "--seed", "--batch-size")),
    ("study", "s.toml", "--seeds", HUGE),
    ("study", "s.toml", "--seeds", "9" * 5000),
    ("study", "s.toml", "--jobs", HUGE),
    ("show", "@" + HUGE),
]


@pytest.mark.parametrize("words", [*((*PLAN, f"--{f}", HUGE) for f in FLAGS), *OTHERS], ids=str)
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_beyond_64_bits_is_refused_where_it_is_given(genbench, words, sign) -> None:
    code, _, err = genbench(*words[:-1], sign + words[-1])
    assert code in (2, 3), err
    assert "unexpected" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("given", ["z_dim", "data.size", "metric.fd_pixel.n", "hidden"])
def test_a_setting_beyond_64_bits_is_refused(genbench, given) -> None:
    value = f"[{HUGE}]" if given == "hidden" else HUGE
    code, _, err = genbench(*PLAN, "--set", f"{given}={value}")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_a_model_that_is_too_large_says_so_and_leaves_nothing(genbench, tmp_path) -> None:
    for size in ("1000000000000", "1000000000000000000"):
        code, _, err = genbench(*TRAIN, "--set", f"hidden=[{size}]")
        assert code in (1, 2)
        [line] = err.splitlines()
        assert "unexpected" not in line
        assert "memory" in line or "large" in line or "64 bits" in line
    with Store.open(tmp_path / "runs.db", mode="read") as store:
        assert store.runs() == []


@pytest.mark.parametrize("option", ["--name", "--tag"])
@pytest.mark.parametrize("text", ["x" * 201, "caf\udce9"])
def test_a_name_that_is_too_long_or_no_text_is_refused(genbench, option, text) -> None:
    code, _, err = genbench(*TRAIN, option, text)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "200 characters" in err or "UTF-8" in err


LATIN = b"caf\xe9"


@pytest.mark.parametrize(
    "words",
    [
        [b"query", b"select '" + LATIN + b"'"],
        [b"show", LATIN],
        [b"runs", b"--tag", LATIN],
        [b"runs", b"--store", LATIN],
        [b"run", LATIN, b"digits", b"--dry-run"],
        [b"run", b"vae", b"digits", b"--dry-run", b"--set", LATIN + b"=1"],
        [b"report", b"--out", LATIN],
        [b"study", LATIN],
        [b"plugins", b"new", LATIN],
    ],
    ids=lambda words: words[0].decode(),
)
def test_bytes_that_are_no_utf_8_are_one_sentence(
    command_line: CommandLine, tmp_path: Path, words: list[bytes]
) -> None:
    Store.open(tmp_path / "runs.db", mode="create").close()
    done = command_line(*map(os.fsdecode, words), folder=tmp_path)
    assert done.code in (2, 3, 5)
    assert done.err.startswith("genbench: error: ")
    assert done.err.count("\n") == 1
    assert "unexpected" not in done.err


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("--priority", "3"), "add --enqueue"),
        (("--launcher-set", "gpus=1"), "add --launcher NAME"),
        (("--enqueue", "--launcher", "local"), "leave out one of them"),
    ],
)
def test_an_option_of_a_study_that_would_do_nothing_is_refused(genbench, words, remedy) -> None:
    code, _, err = genbench("study", "s.toml", *words)
    assert code == 2
    assert remedy in err
