"""Put the real outputs and pictures of their commands into the tutorial and the README.

    python scripts/make_tutorial.py --work FOLDER

A ``text`` block holds what the last command of the shell block above it prints. A picture
NAME.png of a page is NAME.png of the folder that the commands ran in, if it is there. The README
shows the runs of the tutorial. Trainings that FOLDER has already are not repeated.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL, README = ROOT / "docs" / "tutorial.md", ROOT / "README.md"
BLOCK = re.compile(r"```(bash|text|toml)\n(.*?)```\n", re.DOTALL)
COMMAND = re.compile(r"(?:^|/)genbench (.*)$", re.MULTILINE)
PICTURE = re.compile(r"!\[[^]]*\]\(([^)]*/([\w-]+)\.png)\)")
TRAINING = ("run", "rerun")


class Work:
    """A folder in which the commands run, with the outputs of its trainings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "done").mkdir(parents=True, exist_ok=True)

    def output_of(self, command: str) -> str:
        """What a command line prints. A training that was done before is not repeated."""
        arguments = shlex.split(command)
        kept = self.folder / "done" / re.sub(r"\W+", "-", command)
        if arguments[0] in TRAINING and kept.exists():
            return kept.read_text()
        answer = subprocess.run(
            [sys.executable, "-m", "genbench", *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "160", "GENBENCH_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if answer.returncode:
            raise SystemExit(f"genbench {command}\n{answer.stderr}")
        if arguments[0] in TRAINING:
            kept.write_text(answer.stdout)
            return answer.stdout
        return f"{answer.stdout.rstrip()}\n\n{answer.stderr}".strip()

    def picture(self, name: str, out: Path) -> None:
        """Write a small PNG of a picture that the commands made."""
        file = self.folder / f"{name}.png"
        if file.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            Image.open(file).convert("RGB").quantize(32).save(out, optimize=True)


def remade(page: Path, work: Work, *, train: bool) -> str:
    """The text of a page with new outputs; commands after the last one of these are not run."""
    text = page.read_text()
    shown = [block for block in BLOCK.finditer(text) if block[1] == "text"]
    last = max(match.start() for match in (*shown, *PICTURE.finditer(text)))
    parts, end, output = [], 0, ""
    for block in BLOCK.finditer(text):
        if block.start() > last:
            break
        parts.append(text[end : block.start()])
        end = block.end()
        if block[1] == "text":
            parts.append(f"```text\n{output}\n```\n")
            continue
        parts.append(block[0])
        if block[1] == "toml":
            (work.folder / "genbench.toml").write_text(block[2])
            continue
        for command in COMMAND.findall(block[2].replace("\\\n", " ")):
            if train or command.split()[0] not in TRAINING:
                output = work.output_of(command)
    return "".join(parts) + text[end:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the store")
    work = Work(parser.parse_args().work.resolve())
    for page in (TUTORIAL, README):
        page.write_text(remade(page, work, train=page == TUTORIAL))
        for target, name in PICTURE.findall(page.read_text()):
            work.picture(name, page.parent / target)


if __name__ == "__main__":
    main()
