"""One of two processes that try what a run on several devices is made of (test_shards.py).

``python -m shard_process RANK FOLDER``: both do the same, the first one writes what it has found
into a file, compared with what one process alone computes.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.contracts import Data
from genbench.engine import Shards, check_shards, follow, joined, train
from genbench.engine.checkpoint import RunIdentity
from genbench.errors import GenbenchError
from genbench.events import Event, StepsDone
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access
from genbench.runner.build_parts import build_model, load_data
from genbench.spec import RunSpec

CPU = torch.device("cpu")
NETS = ("g_hidden=[8]", "d_hidden=[8]")
MODELS: dict[str, tuple[str, ...]] = {
    "vae": ("hidden=[8]", "z_dim=2", "data.binarize=dynamic"),
    "gan": (*NETS, "d_norm=batch", "g_norm=batch", "d_dropout=0.2"),
    "wgan-gp": NETS,
    "vaegan": (*NETS, "vae_hidden=[8]", "vae_epochs=1"),
}
"""Between them: augmented data, BatchNorm, dropout, a penalty that is differentiated twice, five
updates in an iteration, clipping, averages, accumulation, and a stage on latents."""
TRAINED = {"epochs": 2, "batch_size": 120, "log_every": 1, "device": "cpu"}
ALSO = {"gan": {"accumulate": 3, "ema": 0.9}, "wgan-gp": {"clip_norm": 1.0}}


def trained(rank: int, folder: Path) -> dict[str, Any]:
    """For each model, the losses of each step, by two processes and by one."""
    registry = Registry.from_environment()
    access = data_access(None, os.environ, offline=True)
    found: dict[str, Any] = {}
    for name, sets in MODELS.items():
        own = (*sets, "data.size=8")
        request = Request(model=name, dataset="digits", run={**TRAINED, **ALSO.get(name, {})})
        spec = resolve(replace(request, sets=own), registry, access, {}, folder).spec
        data = load_data(spec, registry, access)
        with joined(rank, 2, CPU, folder / f"meeting-{name}") as shards:
            model = build_model(spec, data.spec, registry)
            check_shards(model, data, spec, CPU, shards)
            if rank:
                identity = RunIdentity(run="run", digest="digest")
                where = {"device": CPU, "folder": folder, "identity": identity}
                follow(model, data, spec, shards=shards, resume=False, **where)
                continue
            two = losses(model, data, spec, folder / f"{name}-2", shards)
        one = losses(build_model(spec, data.spec, registry), data, spec, folder / f"{name}-1", None)
        found[name] = {"two": two, "one": one}
    return found


def losses(
    model: Any, data: Data, spec: RunSpec, folder: Path, shards: Shards | None
) -> dict[str, list[float]]:
    """Train, and give each recorded series."""
    series: dict[str, list[float]] = {}

    def hear(event: Event) -> None:
        if isinstance(event, StepsDone):
            for key, values in event.series.items():
                series.setdefault(key, []).extend(value for _, value in values)

    train(model, data, spec, device=CPU, folder=folder, emit=hear, shards=shards)
    return series


def normalised(rank: int, shards: Shards) -> dict[str, list[float]]:
    """A penalty on the slope through BatchNorm, with gradients of weights, in parts and whole."""
    torch.manual_seed(0)
    x = torch.randn(12, 3, 2, 2)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 1, 2))
    state = {k: v.clone() for k, v in net.state_dict().items()}

    def grads(rows: Tensor) -> Tensor:
        rows = rows.clone().requires_grad_(True)
        score = net(rows).flatten()
        (slope,) = torch.autograd.grad(score.sum(), rows, create_graph=True)
        loss = score.mean() + (slope.flatten(1).norm(dim=1) - 1).square().mean()
        net.zero_grad()
        loss.backward()
        return loss

    whole = grads(x)
    alone = [whole.item(), *(v for p in net.parameters() for v in p.grad.flatten().tolist())]
    buffers = [b.double().clone() for b in net.buffers()]
    net.load_state_dict(state)
    with shards.whole_batch(6):
        part = grads(shards.own(x, 1))
    [loss] = shards.exchange([part], list(net.parameters()))
    found = [loss.item(), *(v for p in net.parameters() for v in p.grad.flatten().tolist())]
    apart = [(a - b).abs().max().item() for a, b in zip(buffers, net.buffers(), strict=True)]
    return {"alone": alone, "found": found, "buffers": apart}


def draws(rows: int) -> list[Tensor]:
    """Noise of each kind that a loss may draw for ``rows`` rows."""
    p = torch.linspace(0.1, 0.9, 4).expand(rows, 4)
    x = torch.zeros(rows, 4)
    return [
        torch.randn(rows, 4),
        torch.rand((rows, 1, 1)),
        torch.randn(2 * rows, 3),
        torch.randint(7, (rows,)),
        torch.randint(2, 9, size=(rows, 2)),
        torch.randn_like(input=x),
        torch.bernoulli(p),
        torch.normal(x, 2.0),
        torch.normal(0.0, 1.0, (rows, 3)),
        torch.empty_like(x).uniform_(-1, 1),
        torch.empty(rows, 4).exponential_(),
        F.dropout(input=x + 1, p=0.5),
        torch.distributions.Normal(x, 1.0).rsample(),
        torch.multinomial(p, 1),
        torch.randn(5),
    ]


def consecutive(rank: int, shards: Shards) -> bool:
    """Whether the draws of one sample stay together, if a loss repeats each sample."""
    torch.manual_seed(2)
    whole = torch.randn(3 * 12, 2)
    torch.manual_seed(2)
    with shards.whole_batch(6, interleaved=True):
        own = torch.randn(3 * 6, 2)
    return torch.equal(own, shards.own(whole, 1))


def drawn(rank: int, shards: Shards) -> list[bool]:
    """Whether each draw is this process's part of the draw of one process."""
    torch.manual_seed(1)
    whole = draws(12)
    torch.manual_seed(1)
    with shards.whole_batch(6):
        own = draws(6)
    expected = [
        a if a.shape == b.shape else shards.own(a, len(b) // 6)
        for a, b in zip(whole, own, strict=True)
    ]
    return [torch.equal(a, b) for a, b in zip(expected, own, strict=True)]


def differing(rank: int, shards: Shards) -> str:
    """What is said of processes with weights that are not the same."""
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.fill_(rank)
    try:
        shards.check_alike(net)
    except GenbenchError as error:
        return str(error)
    return ""


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with joined(rank, 2, CPU, folder / "meeting") as shards:
        for what in (normalised, drawn, consecutive, differing):
            found[what.__name__] = what(rank, shards)
    found["trained"] = trained(rank, folder)
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
