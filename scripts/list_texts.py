"""List every text that a user may read, one a line, so that all can be read aloud.

python scripts/list_texts.py                        # all of genbench/ and plugins/
python scripts/list_texts.py genbench/cli --sample 100
python scripts/list_texts.py genbench/store --docs  # with docstrings and comments

A line holds FILE:LINE, the kind of the text and the text itself; ``{..}`` stands for a value.
The kinds: ``command``, ``argument`` and ``option`` are the command line's help, ``setting`` is a
setting's description, ``summary`` one of a registration or preset, ``message`` what is passed to an
exception or printed, and ``sentence`` any other text of three words or more.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import random
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from genbench.cli import _app
from genbench.registry import KINDS, Registry

ROOT = Path(__file__).parent.parent
FOLDERS = ("genbench", "plugins")
MESSAGES = re.compile(r"(Error|Warning|Warned|Noticed)$|^(say|warn|note|remark|complain|print)$")


class Text(NamedTuple):
    """A text and where it is written."""

    place: str
    line: int
    kind: str
    text: str


def written(file: Path) -> Iterator[Text]:
    """The strings and comments of a file; ``word`` is one of a word or two, perhaps no text."""
    source, place = file.read_text(), str(file.relative_to(ROOT))
    tree = ast.parse(source)
    documentation = set(_docstrings(tree))
    messages = {
        id(part)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and MESSAGES.search(_name(call.func))
        for part in ast.walk(call)
    }
    inside = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node) if part is not node
    }  # fmt: skip
    for node in ast.walk(tree):
        text = None if id(node) in inside else _text_of(node)
        if text is None or not re.search(r"\w\w", text):
            continue
        if id(node) in documentation:
            kind = "docstring"
        elif id(node) in messages:
            kind = "message"
        else:
            kind = "sentence" if text.count(" ") > 1 else "word"
        yield Text(place, node.lineno, kind, _flat(text))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(place, token.start[0], "comment", _flat(token.string))


def _flat(text: str) -> str:
    """A text on one line, as one may print it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))


def _docstrings(tree: ast.Module) -> Iterator[int]:
    """The ids of all strings that are statements: docstrings, of attributes too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield id(node.value)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text_of(part) or f"{{{ast.unparse(_value(part))}}}" for part in node.values)
    return None


def _value(part: ast.expr) -> ast.expr:
    return part.value if isinstance(part, ast.FormattedValue) else part


def command_line() -> Iterator[tuple[str, str]]:
    """The kind and text of each help text of the command line, by Typer's own account."""
    pending = [("genbench", typer.main.get_command(_app([])))]
    while pending:
        name, command = pending.pop()
        yield "command", inspect.cleandoc(command.help or "")
        for parameter in command.params:
            yield parameter.param_type_name, getattr(parameter, "help", None) or ""
        for inner, found in getattr(command, "commands", {}).items():
            pending.append((f"{name} {inner}", found))


def registered() -> Iterator[tuple[str, str]]:
    """The kind and text of all that plugins describe: summaries, presets, settings."""
    registry = Registry.from_environment()
    for kind in KINDS:
        for registration in registry.of(kind):
            yield "summary", registration.summary
            cls = registry.settings(kind, registration.name)
            for info in cls.model_fields.values() if cls else ():
                yield "setting", info.description or ""
            for preset in registry.presets(registration.name) if kind == "model" else ():
                yield from (("summary", preset.source), ("summary", preset.note))


def texts(*, docs: bool = False) -> list[Text]:
    """All texts, by file and line; those that are put together by code have no place."""
    kinds = {_flat(text): kind for kind, text in (*command_line(), *registered()) if text}
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        text._replace(kind=kinds.get(text.text, text.kind)) for file in files
        for text in written(file)
    ]  # fmt: skip
    left_out = {"word"} if docs else {"word", "docstring", "comment"}
    built = set(kinds) - {text.text for text in found}
    found += [Text("(built)", 0, kinds[text], text) for text in built]
    return sorted({text for text in found if text.kind not in left_out})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="only texts of files that begin with one of these")
    parser.add_argument("--kind", help="only this kind")
    parser.add_argument("--docs", action="store_true", help="docstrings and comments too")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice")
    given = parser.parse_args()
    shown = [
        text
        for text in texts(docs=given.docs)
        if not given.paths or text.place.startswith(tuple(given.paths))
        if given.kind in (None, text.kind)
    ]
    if given.sample is not None:
        shown = random.Random(given.seed).sample(shown, min(given.sample, len(shown)))
    for text in shown:
        print(f"{text.place}:{text.line}  {text.kind:<8}  {text.text}")


if __name__ == "__main__":
    main()
