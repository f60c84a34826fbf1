"""No command line, however odd, gives a traceback, an unknown exit code or a hang."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from typer.models import ArgumentInfo, ParameterInfo

from genbench.cli import _app

TOO_LARGE = ("2147483648", "9223372036854775808", "1" + "0" * 40)
INTEGERS = ("0", "1", "2", "3", "7", "20", "-1", *TOO_LARGE)
NUMBERS = (*INTEGERS, "0.5", "0.9", "-0.1", "1e308", "nan", "inf", "1_0", "\u0663", "0x10", "")
RUNS = (
    *3 * ("@1", "@2", "@3", "parent"),
    "@0",
    "@-1",
    "@9999999999999999999999",
    "nope",
    "a" * 300,
)
PATHS = (
    *3 * ("out.png", "out.npz", "new/out.png", "out.html", "out.md", "toy.toml", "."),
    *("runs.db", "runs", "runs.db-wal", "runs.db/x.png", "x" * 300 + ".png", "", "out\udcff.png"),
    *("/dev/null", "/dev/full", "/proc/self/mem", "bundle.zip", "out.gif", "out.csv", "out.json"),
)
FILTERS = (
    *("model=vae", "model=gan,vae", "model!=gan", "dataset:dig*", "status=finished", "status=done"),
    *("fd_pixel<1e9", "fd_pixel@plain>=0", "fd_pixel@nope=1", "fd_pixel=none", "lr>=1e-4"),
    *("model.lr=1e-3", "data.size=8", "epochs>1", "seed=0,1", "seed<none", "name=none", "tag=a"),
    *("tag:?", "note:*", "started>2026-01-31", "created<0000", "archived=none", "finished=9999"),
    *("experiment=0", "experiment:*", "host:*", "parent=parent", "@1", "@2", "parent", "id=@1"),
    *("=1", "a==b", "lr>", "<", "fd_pixel:1", "lr>=1e999", "lr=nan", "seed=1_0", "bogus=1"),
    *("model=" + "x" * 2000, "name:" + "*" * 2000, "model=vae seed=0", "tag=a\\,b", "g_hidden=[8]"),
    *("status=\x1b[31m", "model=\udcff", "started>2026-13-01", "started>2026-01-31T25:00"),
)
KEYS = (
    *(
        "fd_pixel",
        "-fd_pixel",
        "lr",
        "-lr",
        "z_dim",
        "model.lr,data.size",
        "seed",
        "seeds",
        "total",
    ),
    *(
        "-total",
        "started",
        "status",
        "tag",
        "--",
        "-",
        "fd_pixel@plain",
        "zdim",
        ",",
        "preset,model",
    ),
)
BUNDLES = (*4 * ("bundle.zip",), *("runs.db", "/dev/zero", "/dev/null", ".", "nope.zip"))
STORES = (
    *6 * ("runs.db",),
    *("other.db", "runs", "/dev/null", "sqlite:///runs.db", "sqlite:////nope/x.db", "x://y", ""),
    *("postgresql://nobody@127.0.0.1:1/none", ":memory:", "runs.db\x1b[31m", "\udcff.db"),
)
WORDS = (
    *("vae", "gan", "digits", "swiss-roll", "gaussians-25", "fd_pixel", "plain", "drs", "ddls"),
    *("latents:parent", "latents:nope", "image-folder:.", "image-folder:/dev/zero", "classes"),
    *("toy25", "ijzer", "total", "epoch", "model", "finished", "md", "csv", "latex", "cpu", "fp32"),
)
SETS = (
    *("data.size=8", "z_dim=2", "lr=1e-3", "model.lr=1e-3", "hidden=[8]", "g_hidden=[8]"),
    *("z_dim=1000000000000", "lr=nan", "lr=inf", "lr=-1", "bogus=1", "=", "a", "g_hidden=["),
    *("sampler.ddls.steps=1", "data.limit=0", "seed=1e99", "x=\udcff", "epochs=2", "data.size=1"),
)
SQL = (
    *("select 1", "select * from runs", "select * from v_scores", "select value from v_losses"),
    *("select", "drop table runs", "select 1; select 2", "attach 'x.db' as x", "select '\udcff'"),
    *("pragma writable_schema=1", "select value from json_each('[1,2]')", "select randomblob(99)"),
    *("select 'a\x1b[2Jb', 'x' || char(8238)", "select 9e999, -9e999, null, x'00ff'"),
    "with recursive a(x) as (select 1 union all select x+1 from a limit 100000) select * from a",
)
ODD = (
    *("", " ", "-", "--", "\x1b[31mred", "\u202eevil", "\udcff", "é" * 100, "a" * 5000, "a\nb"),
    *("=1+1", "<b>", "'", '"', "%s", "{}", "../..", "~"),
)
QUICK = ("--epochs", "1", "--set", "data.size=8", "--batch-size", "300", "--metric", "fd_pixel")


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command, as its function declares it."""

    name: str
    flag: str
    """The option's long name; empty for an argument."""
    kinds: frozenset[type]

    @property
    def takes_a_value(self) -> bool:
        return self.kinds != {bool}

    def values(self) -> st.SearchStrategy[str]:
        """Values: mostly of its kind, sometimes anything."""
        fitting: tuple[str, ...] = WORDS
        if self.kinds & {int, float}:
            fitting = NUMBERS
        elif self.name in ("reference", "references", "runs", "first", "second"):
            fitting = RUNS
        elif self.name == "store":
            fitting = STORES
        elif self.name == "sets":
            fitting = SETS
        elif self.name == "file":
            fitting = BUNDLES
        elif Path in self.kinds:
            fitting = PATHS
        elif self.name == "sql":
            fitting = SQL
        elif self.name in ("filters", "where"):
            fitting = FILTERS
        elif self.name in ("sort", "by"):
            fitting = KEYS
        elif self.name == "arguments":
            fitting = (*BUNDLES, *RUNS)
        return st.sampled_from(8 * fitting + ODD)


def parameters(callback: Callable[..., Any]) -> list[Parameter]:
    """What a command's function takes, in order."""
    found = []
    for name, hint in get_type_hints(callback, include_extras=True).items():
        infos = [i for i in getattr(hint, "__metadata__", ()) if isinstance(i, ParameterInfo)]
        for info in infos:
            spelt = [d for d in getattr(info, "param_decls", None) or () if d.startswith("--")]
            flag = spelt[0].split("/")[0] if spelt else "--" + name.replace("_", "-")
            flag = "" if isinstance(info, ArgumentInfo) else flag
            found.append(Parameter(name, flag, frozenset(leaves(get_args(hint)[0]))))
    return found


def leaves(hint: Any) -> Iterator[type]:
    """The types in an annotation such as ``list[str] | None``, without None."""
    if not get_args(hint) and isinstance(hint, type) and hint is not NoneType:
        yield hint
    for part in get_args(hint):
        yield from leaves(part)


def commands() -> dict[tuple[str, ...], list[Parameter]]:
    """All commands by their words: ("run",), ("plugins", "new"), ..."""
    app, found = _app([]), {}
    for registered in app.registered_commands:
        found[str(registered.name),] = parameters(registered.callback)
    for group in app.registered_groups:
        inner = group.typer_instance
        for registered in inner.registered_commands:
            words = (str(group.name or inner.info.name), str(registered.name))
            found[words] = parameters(registered.callback)
    return found


COMMANDS = commands()


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, its arguments, some of its options, perhaps a stray word."""
    words = draw(st.sampled_from(sorted(COMMANDS)))
    line = list(words)
    if words == ("run",) and draw(st.integers(0, 3)):
        line += [draw(st.sampled_from(("vae", "gan"))), "digits", *QUICK]
    else:
        for argument in (p for p in COMMANDS[words] if not p.flag):
            if draw(st.integers(0, 9)):
                line.append(draw(argument.values()))
    options = [p for p in COMMANDS[words] if p.flag]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else ():
        line += [option.flag, *([draw(option.values())] if option.takes_a_value else ())]
    if draw(st.integers(0, 9)) == 0:
        line.append(draw(st.sampled_from((*ODD, "--bogus", "--json"))))
    if words == ("run",) and "--dry-run" not in line and draw(st.booleans()):
        line.append("--dry-run")
    return line


def attack(examples: int, limit: float) -> Callable[..., None]:
    """The law, tried on so many command lines: each has a fresh copy of the furnished folder.

    After ``limit`` seconds comes Ctrl-C.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(line=command_lines())
    def law(line: list[str], genbench: Any, furnished: Path, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(furnished, place)
        # A run that was told to train for ages is interrupted: that too must work.
        genbench(*line, folder=place, limit=limit, env={"BROWSER": "true"}).check()

    return law


def test_60_command_lines_end_with_a_sentence_and_a_documented_code(
    genbench: Any, furnished: Path, tmp_path: Path
) -> None:
    attack(60, 1.0)(genbench=genbench, furnished=furnished, place=tmp_path / "place")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_3000_command_lines_end_with_a_sentence_and_a_documented_code(
    genbench: Any, furnished: Path, tmp_path: Path
) -> None:
    attack(3000, 3.0)(genbench=genbench, furnished=furnished, place=tmp_path / "place")
