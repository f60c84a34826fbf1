"""Write docs/speed.md: genbench against a notebook's loops, its start-up, and a busy machine.

    python benchmarks/speed_page.py [--rounds 7] [--steps 20] [--data-dir DIR] [--out docs/speed.md]

Both sides of a pair train the same networks on MNIST at batch 100, in turn in one process, so that
other work slows both. A row has the medians over the rounds, in seconds of the clock and of the
CPU, and the median of the ratios. The notebook's loops are written here from the description of a
public notebook: a DataLoader that makes a tensor of one PIL image after the other, one pass of the
discriminator for real and one for fake images, `torch.optim.Adam`, and `.item()` in each step.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"
MODELS = {
    "gan": (
        "z_dim=100",
        "g_hidden=[256,512,1024]",
        "d_hidden=[1024,512,256]",
        "d_dropout=0.3",
        "beta1=0.9",
    ),
    "vae": ("z_dim=2", "hidden=[512,256]"),
}
PEERS = {
    "pythae": "the trainers of pythae (VAE, VQ-VAE)",
    "lightning": "a loop in Lightning",
    "pytorch_fid": "pytorch-fid on 10,000 images",
}
FIRST_STEP = """
import os, sys
from genbench.engine import update
update.Update.__call__ = lambda *a, **k: os._exit(0)
sys.argv = ["genbench", "-q", "run", "vae", "digits", "--epochs", "1", "--threads", "1"]
from genbench.cli import main
main()
"""


@dataclass
class Row:
    """Seconds of both sides, per round: the clock's and the CPU's."""

    name: str
    unit: str
    theirs: list[tuple[float, float]] = field(default_factory=list)
    ours: list[tuple[float, float]] = field(default_factory=list)

    def line(self) -> str:
        cells = [
            f"{statistics.median(pair[k] for pair in side) * 1e3:,.0f} ms"
            for side in (self.theirs, self.ours)
            for k in (0, 1)
        ]
        ratios = (
            statistics.median(a[k] / b[k] for a, b in zip(self.theirs, self.ours, strict=True))
            for k in (0, 1)
        )
        return f"| {self.name} | {self.unit} | " + " | ".join(
            [*cells, *(f"{ratio:.2f}" for ratio in ratios)]
        )


def timed(call: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


# --- a notebook's loops


def notebook_images(images: Any) -> Iterator[Any]:
    """Batches (100, 784) in [0, 1], shuffled, one PIL image after the other."""
    import torch
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> object:
            return to_tensor(Image.fromarray(images[index, 0]))

    while True:
        loader = torch.utils.data.DataLoader(Images(), batch_size=100, shuffle=True)
        for batch in loader:
            yield batch.view(len(batch), -1)


def dense(sizes: list[int], between: Callable[[], list[Any]], last: Any) -> Any:
    from torch import nn

    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), *between()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]), last)


def notebook_gan(images: Any) -> Callable[[], None]:
    """A step: D on real and on fake images, then G on fresh noise, BCE on sigmoids."""
    import torch
    from torch import nn

    g = dense([100, 256, 512, 1024, 784], lambda: [nn.LeakyReLU(0.2)], nn.Tanh())
    d = dense([784, 1024, 512, 256, 1], lambda: [nn.LeakyReLU(0.2), nn.Dropout(0.3)], nn.Sigmoid())
    g_adam = torch.optim.Adam(g.parameters(), lr=2e-4)
    d_adam = torch.optim.Adam(d.parameters(), lr=2e-4)
    loss, batches = nn.BCELoss(), notebook_images(images)

    def step() -> None:
        x = next(batches) * 2 - 1
        ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        d_adam.zero_grad()
        fake = g(torch.randn(len(x), 100)).detach()
        d_loss = loss(d(x), ones) + loss(d(fake), zeros)
        d_loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        g_loss = loss(d(g(torch.randn(len(x), 100))), ones)
        g_loss.backward()
        g_adam.step()
        d_loss.item(), g_loss.item()

    return step


def notebook_vae(images: Any) -> Callable[[], None]:
    """A step: 784-512-256-(2 + 2) and back, BCE and KL summed, Adam 1e-3."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    encoder = dense([784, 512, 256, 4], lambda: [nn.ReLU()], nn.Identity())
    decoder = dense([2, 256, 512, 784], lambda: [nn.ReLU()], nn.Sigmoid())
    both = nn.ModuleList([encoder, decoder])
    adam, batches = torch.optim.Adam(both.parameters(), lr=1e-3), notebook_images(images)

    def step() -> None:
        x = next(batches)
        adam.zero_grad()
        mean, logvar = encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        bce = F.binary_cross_entropy(decoder(z), x, reduction="sum")
        loss = bce - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
        loss.backward()
        adam.step()
        loss.item()

    return step


# --- ours


def training_pair(name: str, rounds: int, steps: int, data_dir: Path | None) -> Row:
    """Rounds of the notebook's steps after epochs of as many steps of the engine."""
    import torch

    from genbench.engine import train
    from genbench.events import EpochDone, StepsDone
    from genbench.planning.resolve import Request, resolve
    from genbench.registry import Registry
    from genbench.runner import data_access
    from genbench.runner.build_parts import build_model, load_data

    access, registry = data_access(data_dir, os.environ), Registry.from_environment()
    run = {"epochs": rounds + 1, "epoch_images": 100 * steps, "batch_size": 100, "watch": False}
    request = Request(model=name, dataset="mnist", sets=MODELS[name], run=run)
    spec = resolve(request, registry, access, {}, Path.cwd()).spec
    data = load_data(spec, registry, access)
    images = data.train.x
    step = {"gan": notebook_gan, "vae": notebook_vae}[name](images)
    row, begun = Row(f"{name}: a notebook's loop", f"{steps} steps"), [0.0, 0.0]

    def listen(event: object) -> None:
        if isinstance(event, StepsDone):
            return
        if isinstance(event, EpochDone):
            now = (time.perf_counter() - begun[0], time.process_time() - begun[1])
            theirs = timed(lambda: [step() for _ in range(steps)])
            if event.epoch > 1:  # the first round warms up
                row.ours.append(now)
                row.theirs.append(theirs)
        begun[:] = time.perf_counter(), time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        model = build_model(spec, data.spec, registry)
        train(model, data, spec, device=torch.device("cpu"), folder=Path(folder), emit=listen)
    return row


# --- start-up, and a busy machine


def child(*arguments: str) -> tuple[float, float]:
    """Seconds and CPU seconds of a process."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def start_up(rounds: int) -> Row:
    """The import of torch, and `genbench run` to its first update."""
    row = Row("start-up: import torch, and `run` to its first step", "a process")
    for k in range(rounds + 1):
        theirs, ours = child("-c", "import torch"), child("-c", FIRST_STEP)
        if k:
            row.theirs.append(theirs)
            row.ours.append(ours)
    return row


def busy_loop() -> None:
    while True:
        pass


def busy_machine(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of a run alone and beside a busy process, in turn."""
    words = ("run", "vaegan", "digits", "--epochs", "10", "--metric", "fd_pixel", "--offline")
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(child("-m", "genbench", "-q", *words)[0])
        other = multiprocessing.get_context("spawn").Process(target=busy_loop, daemon=True)
        other.start()
        try:
            beside.append(child("-m", "genbench", "-q", *words)[0])
        finally:
            other.kill()
            other.join()
    return alone, beside


# --- the page


def page(rows: list[Row], busy: tuple[list[float], list[float]], loads: list[float]) -> str:
    import torch

    from genbench.engine.cpu import cpu_name

    cores = os.cpu_count() or 1
    alone, beside = (statistics.median(side) for side in busy)
    explained = (cores + 1) / cores
    missing = [
        f"- {what}: `{name}` is not installed."
        if importlib.util.find_spec(name) is None
        else f"- {what}: this script doesn't measure it yet."
        for name, what in PEERS.items()
    ]
    lines = [
        "# Speed\n",
        "`python benchmarks/speed_page.py` measures this page and writes it.\n",
        f"{cpu_name()}, {cores} cores, {torch.get_num_threads()} threads; Python "
        f"{platform.python_version()}, torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; "
        f"load average before and after each measurement {', '.join(f'{x:.1f}' for x in loads)}. "
        "A load above 1 means that other work slowed both sides, so that only ratios count.\n",
        f"Medians of {len(rows[0].ours)} rounds, in turn. A ratio is theirs over ours.\n",
        "| what | for | theirs | CPU | genbench | CPU | ratio | of the CPU |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row.line() + " |" for row in rows),
        "",
        f"Beside one busy process, `vaegan digits` over 10 epochs takes {beside:.1f} s, alone "
        f"{alone:.1f} s: {beside / alone:.2f} times as long, and {beside / alone / explained:.2f} "
        f"times what its share of the cores explains ({explained:.2f}).\n",
        "## What was not measured\n",
        *missing,
        "- FID of 10,000 images by `fidelity`: its Inception weights are a download.",
        *([] if torch.cuda.is_available() else ["- Anything on a GPU: there was none."]),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    loads = [os.getloadavg()[0]]
    rows = []
    for name in MODELS:
        rows.append(training_pair(name, given.rounds, given.steps, given.data_dir))
        loads.append(os.getloadavg()[0])
    rows.append(start_up(given.rounds))
    loads.append(os.getloadavg()[0])
    busy = busy_machine(min(3, given.rounds))
    loads.append(os.getloadavg()[0])
    given.out.write_text(page(rows, busy, loads), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
