"""Write docs/speed.md: genbench beside other programs, its start-up, and a busy machine.

    python benchmarks/speed_page.py [--rounds 7] [--data-dir DIR] [--out docs/speed.md]

Both sides of a pair do the same work in turn, so that other work slows both. A row has the medians
over the rounds, in seconds of the clock and of the CPU, and the median of the ratios. What needs a
package that isn't installed is named as missing:

    pip install pythae lightning pytorch-fid
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from speed.pair import HEAD, Pair, milliseconds
from speed.processes import OWN, Sharing, sharing, start_up, steps

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"
FID_IMAGES, FID_ROUNDS, SCORED = 100, 3, 10_000
"""PNG files in a round of Inception, the rounds at most, and the images of a whole distance."""
PROCESS_ROUNDS = 3
"""The rounds of runs that take many seconds, at most."""
STEPS = (("gan", "train"), ("vaegan", "gan"))
FID_PACKAGES = {"fidelity": "torch_fidelity", "pytorch-fid": "pytorch_fid"}


@dataclass
class Found:
    """What was measured so far; ``loads`` are load averages before and after each part."""

    training: list[Pair] = field(default_factory=list)
    fid: list[Pair] = field(default_factory=list)
    agreements: list[Any] = field(default_factory=list)
    precision: tuple[Pair, bool] | None = None
    missing: list[str] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)


def measure(
    rounds: int, data_dir: Path | None
) -> tuple[Found, Pair, Sharing, list[dict[str, Any]]]:
    """All parts, one after the other."""
    found = Found()
    _part(found, lambda: _training(found, rounds, data_dir))
    _part(found, lambda: _fid(found, min(rounds, FID_ROUNDS), data_dir))
    _part(found, lambda: _precision(found, min(rounds, FID_ROUNDS)))
    few = min(rounds, PROCESS_ROUNDS)
    start = _part(found, lambda: start_up(rounds))
    shared = _part(found, lambda: sharing(few))
    return found, start, shared, _part(found, lambda: steps(STEPS, few, data_dir))


def _part(found: Found, call: Callable[[], Any]) -> Any:
    if not found.loads:
        found.loads.append(os.getloadavg()[0])
    result = call()
    found.loads.append(os.getloadavg()[0])
    return result


def _training(found: Found, rounds: int, data_dir: Path | None) -> None:
    from speed.training import RIVALS, installed, training_pair

    for rival in RIVALS:
        if installed(rival.package):
            found.training.append(training_pair(rival, rounds, data_dir))
        else:
            found.missing.append(f"{rival.name}: `{rival.package}` is not installed.")


def _fid(found: Found, rounds: int, data_dir: Path | None) -> None:
    from speed.fid import fid_pairs
    from speed.training import installed, mnist

    names = tuple(name for name, package in FID_PACKAGES.items() if installed(package))
    images = mnist(data_dir).test.x[:FID_IMAGES]
    found.fid, found.agreements = fid_pairs(images, rounds, names)
    found.missing += [
        f"FID: `{package}` is not installed."
        for name, package in FID_PACKAGES.items()
        if name not in names
    ]


def _precision(found: Found, rounds: int) -> None:
    from speed.precision import precision_pair

    found.precision = precision_pair(rounds)


# --- the page


def page(found: Found, start: Pair, shared: Sharing, stages: list[dict[str, Any]]) -> str:
    """The page as Markdown."""
    import torch

    missing = [*found.missing]
    if not torch.cuda.is_available():
        missing.append("Anything on a GPU: there was none.")
    parts = [
        "# Speed",
        "`python benchmarks/speed_page.py` measures this page and writes it.",
        _machine(found),
        "## Training",
        "The same networks on MNIST with batches of 100, and the same number of threads. The "
        "engine also records all losses and checks them; neither side writes checkpoints. "
        f"Medians of {len(found.training[0].ours)} rounds, in turn. A ratio is theirs over ours.",
        _table(found.training),
        "## Fréchet inception distance",
        "All programs get Inception-v3 with the same weights, drawn at random from a fixed seed: "
        "the published weights are a download, and neither the seconds nor the agreement depend "
        "on them. Each program reads PNG files of MNIST with its own defaults.",
        *_fid_text(found),
        *_precision_text(found),
        "## Start-up",
        _table([start]),
        f"`genbench run` takes its first step after {1 / start.ratio():.2f} times the seconds of "
        f"`import torch` ({1 / start.ratio(1):.2f} times of the CPU).",
        "## A busy machine",
        *_sharing_text(shared),
        "## A GAN on latents",
        *_steps_text(stages),
        "## What was not measured",
        "\n".join(f"- {one}" for one in missing),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(found: Found) -> str:
    import torch

    from genbench.engine.cpu import cpu_name

    return (
        f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python "
        f"{platform.python_version()}, torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; "
        f"load average before and after each part {', '.join(f'{x:.1f}' for x in found.loads)}. "
        f"A load above {os.cpu_count()} means that other work slowed both sides, so that only "
        "ratios count."
    )


def _table(pairs: list[Pair]) -> str:
    return "\n".join((HEAD, *(pair.line() for pair in pairs)))


def _fid_text(found: Found) -> list[str]:
    from speed.fid import whole

    if not found.fid:
        return []
    half = len(found.fid) // 2
    said = [f"Medians of {len(found.fid[0].ours)} rounds for the features.", _table(found.fid)]
    pairs = zip(found.agreements, found.fid[:half], found.fid[half:], strict=True)
    for agreement, features, distance in pairs:
        theirs, ours, again = whole([features, distance], SCORED)
        said.append(
            f"So the distance of {SCORED:,} images to {SCORED:,} others takes "
            f"{agreement.program} {theirs / 60:.1f} minutes and genbench {ours / 60:.1f} "
            f"({theirs / ours:.2f} times as fast), and {again / 60:.1f} from the second time on "
            f"({theirs / again:.2f} times), since it keeps the reference. On images of 299 pixels "
            f"their features differ from ours by at most {agreement.features:.1e} of the largest, "
            f"and their distance of the same features differs by {agreement.distance:.1e}."
        )
    said.append(
        "These minutes are computed from the rows above. At its first score genbench also computes "
        "a floor, the distance of as many training images, which takes as long as the score. "
        "pytorch-fid scales and resizes images in another way than the original, so its values "
        "differ from those of fidelity and genbench."
    )
    return said


def _precision_text(found: Found) -> list[str]:
    if found.precision is None:
        return []
    pair, equal = found.precision
    values = "The values are equal." if equal else "The values differ."
    return ["## Precision and recall", f"{values} Nothing is cached.", _table([pair])]


def _sharing_text(shared: Sharing) -> list[str]:
    own, best = shared.alone[OWN], min(shared.alone.values())
    longer = shared.beside / own
    rows = [f"| {name} | {seconds:.1f} s |" for name, seconds in shared.alone.items()]
    return [
        "The training seconds of `vaegan digits`, 10 and 20 epochs:",
        "\n".join(
            (
                "| a run | seconds |",
                "| --- | ---: |",
                *rows,
                f"| beside a busy process | {shared.beside:.1f} s |",
            )
        ),
        f"Alone, a run takes {own / best:.2f} times the seconds of the best of these settings. "
        f"Beside one busy process it takes {longer:.2f} times as long as alone, which is "
        f"{longer / shared.explained:.2f} times what its share of the cores explains "
        f"({shared.explained:.2f}).",
    ]


def _steps_text(stages: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {model} | {milliseconds(one['ms'] / 1e3)} | {one['images_per_s']:,.0f} | "
        f"{milliseconds(one['limit_ms'] / 1e3)} |"
        for (model, _), one in zip(STEPS, stages, strict=True)
    ]
    pixels, latents = (one["ms"] for one in stages)
    return [
        f"A step of the second stage of `vaegan` takes {latents:.2f} ms, one of `gan` "
        f"{pixels:.1f} ms ({pixels / latents:.1f} times as long), measured by `genbench bench` on "
        "MNIST with batches of 100. The limit is the time of the products alone at the rate of a "
        "product of large matrices.",
        "\n".join(("| model | a step | images/s | limit |", "| --- | ---: | ---: | ---: |", *rows)),
    ]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    given.out.write_text(page(*measure(given.rounds, given.data_dir)), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
