"""Four models on two data sets with three seeds each, then the report page of these 24 runs.

    python examples/report_of_24_runs.py [FOLDER] [EPOCHS]

The store is runs.db in FOLDER (default: this folder). Nothing is downloaded. With the default of
24 epochs this takes about five minutes on two CPU cores; 2 epochs are enough to see the page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import data_access, run
from genbench.store import Store

MODELS = {
    "digits": {
        "vae": ["model.hidden=[256,128]"],
        "gan": ["model.g_hidden=[128,256]", "model.d_hidden=[256,128]"],
        "vaegan": ["model.vae_epochs=8"],
        "wgan-gp": ["model.g_hidden=[128,256]", "model.d_hidden=[256,128]"],
    },
    "gaussians-25": {
        "vae": ["model.likelihood=gaussian", "model.hidden=[64,64]", "model.z_dim=2"],
        "gan": ["model.g_lr=0.001", "model.d_lr=0.001"],
        "lsgan": ["model.g_lr=0.001", "model.d_lr=0.001"],
        "wgan-gp": ["model.n_critic=2"],
    },
}
"""Data sets -> models -> settings that make them small."""

DATA = {"digits": [], "gaussians-25": ["data.train=8000", "data.test=2000"]}
METRICS = {
    "digits": ["fd_clf", "precision", "recall", "nearest"],
    "gaussians-25": ["fd_pixel", "modes", "high_quality"],
}
SEEDS = (0, 1, 2)


def main(folder: str = ".", epochs: str = "24") -> None:
    """Train what the store doesn't have yet, then write the page."""
    os.chdir(folder)
    registry = Registry.from_environment()
    access = data_access(environ=os.environ)
    with Store.open("runs.db", mode="create") as store:
        for dataset, seed in product(MODELS, SEEDS):
            for model, settings in MODELS[dataset].items():
                name = f"{model}-{dataset}-{seed}"
                if any(found.name == name for found in store.runs(model=model, dataset=dataset)):
                    continue
                asked = {
                    "epochs": int(epochs),
                    "seed": seed,
                    "evaluate_every": max(1, int(epochs) // 6),
                    "metrics": METRICS[dataset],
                }
                request = Request(
                    model=model, dataset=dataset, run=asked, sets=[*DATA[dataset], *settings]
                )
                plan = resolve(request, registry, access, os.environ, Path.cwd())
                done = run(plan.spec, registry=registry, store=store, access=access, name=name)
                print(f"{name}: run {done.id}, {done.train_s:.1f} s of training", file=sys.stderr)
    page = [sys.executable, "-m", "genbench", "report", "--baseline", "gan", "--out", "report.html"]
    sys.exit(subprocess.run(page).returncode)


if __name__ == "__main__":
    main(*sys.argv[1:3])
