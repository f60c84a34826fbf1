"""Make docs/gallery.md: every registered model with its samples, paper, presets and command.

    python scripts/make_gallery.py --work FOLDER

Each model is trained once on the embedded digits. The store lies in FOLDER: what is finished there
is not trained again, so the script can be stopped and started. All models take about 20 minutes on
one idle core. The samples are drawn by `genbench sample`; a picture that is there is kept.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLUMNS, ROWS, GAP = 10, 4, 1
# Shorter than the defaults, because all models together would take more than an hour.
OPTIONS = {
    **dict.fromkeys(("cgan", "ebgan", "ebgan-pt", "wgan-gp"), "--epochs 60"),
    **dict.fromkeys(("sngan", "wgan"), "--epochs 80"),
    **dict.fromkeys(("vae-bernoulli", "vaegan-larsen"), "--epochs 50"),
    "cvae-gan": "--epochs 20",
    "began": "--epochs 200",
    "dcgan": "--epochs 80 --batch-size 128 --set g_lr=2e-4 --set d_lr=2e-4",
    "ddpm": "--epochs 60 --set data.size=8",
    "edm": "--epochs 60 --set data.size=8",
    "flow-matching": "--epochs 60 --set data.size=8",
    "gan": "--epochs 150",
    "infogan": "--epochs 40",
    "lsgan": "--epochs 100",
    "maf": "--epochs 30 --set data.size=8 --set lr=3e-3",
    "nsf": "--epochs 20 --set data.size=8 --set lr=3e-3",
    "pixelcnn": "--epochs 15 --set data.size=8 --set lr=5e-3",
    "r3gan": "--epochs 6 --set data.size=8 --set lr=4e-3 --set final_lr=1e-3",
    "realnvp": "--epochs 20 --set data.size=8 --set lr=3e-3",
    "stargan": "--epochs 20 --set data.size=16",
    "vq-vae": "--epochs 10 --set code_epochs=30",
}
FAMILIES = {
    "vae": "Autoencoders and VAEs",
    "gan": "GANs",
    "hybrid": "Hybrids of both",
    "likelihood": "Exact likelihoods",
    "flow": "Flow matching and diffusion",
}
HEAD = """# Gallery

Every built-in model, trained on the 1,437 training images of `digits` with seed 0 on one CPU
thread. A model has its default settings unless its command says otherwise. The pictures show
what a first run gives; they are not a ranking. For rankings at equal seconds see
[the GANs](tables/gans.md) and [the VAEs and hybrids](tables/vaes.md). In the pictures of `cgan`,
`cvae` and `cvae-gan` each column shows one class, from 0 to 9. `began` collapses to few digits,
as it also does [on MNIST](gans.md#equal-seconds-of-training).

`scripts/make_gallery.py` writes this page. It runs each command and then
`genbench sample @1 -n 40`, or `genbench translate @1 -n 4` for `stargan`. `fd_clf` is a
[distance to real images](scores.md): lower is better, and real images get 25.
"""


def genbench(folder: Path, *arguments: str) -> str:
    """The stdout of one command line, run in ``folder``; its stderr is shown."""
    command = [sys.executable, "-m", "genbench", *arguments]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def listed(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(genbench(folder, kind, "--json"))[kind]
    return rows


def command_of(model: str) -> list[str]:
    return ["run", model, "digits", *OPTIONS.get(model, "").split()]


def finished(folder: Path) -> set[str]:
    """The names of the finished runs of the store."""
    if not (folder / "runs.db").exists():
        return set()
    runs = json.loads(genbench(folder, "runs", "--json", "--limit", "1000"))["runs"]
    return {run["name"] for run in runs if run["status"] == "finished"}


def draw(folder: Path, model: dict[str, Any], out: Path) -> None:
    """Write a picture of the model as a PNG of 16 grey levels: samples, else translations."""
    if "generates" in model["capabilities"]:
        draw_samples(folder, model["name"], out)
        return
    sheet = folder / f"{model['name']}.png"
    genbench(folder, "translate", model["name"], "-n", str(ROWS), "--out", str(sheet))
    with Image.open(sheet) as picture:
        picture.convert("L").quantize(16).save(out, optimize=True)


def draw_samples(folder: Path, model: str, out: Path) -> None:
    """Write a sheet of samples as a PNG of 16 grey levels."""
    file = folder / f"{model}.npz"
    file.unlink(missing_ok=True)
    genbench(folder, "sample", model, "-n", str(ROWS * COLUMNS), "--out", str(file))
    images = np.load(file)["images"][..., 0]
    side = images.shape[1] + GAP
    sheet = np.full((ROWS * side - GAP, COLUMNS * side - GAP), 128, np.uint8)
    for place, image in enumerate(images):
        top, left = place // COLUMNS * side, place % COLUMNS * side
        sheet[top : top + side - GAP, left : left + side - GAP] = image
    Image.fromarray(sheet).quantize(16).save(out, optimize=True)


def linked(source: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)


def section(model: dict[str, Any], run: dict[str, Any], presets: list[dict[str, Any]]) -> str:
    name = model["name"]
    generates = "generates" in model["capabilities"]
    metric = "fd_clf" if generates else "translation_accuracy"
    score = next(s["value"] for s in run["scores"] if s["metric"] == metric)
    told = f"{score:.0f}" if generates else f"{score:.1%}"
    what = f"{ROWS * COLUMNS} samples" if generates else "Translations"
    own = [f"`{p['name']}` ({', '.join(p['datasets'])})" for p in presets if p["model"] == name]
    return f"""### `{name}`

{model["summary"][0].upper()}{model["summary"][1:]}.

![{what} of {name} on digits](images/gallery/{name}.png){{ .samples }}

- Paper: {linked(model["source"])}
- [Presets](presets.md): {", ".join(own) or "none"}
- {run["epochs_done"]} epochs in all, {run["parameters"]:,} parameters, `{metric}` {told}

```bash
genbench {" ".join(command_of(name))}
```
"""


def write_page(folder: Path, models: list[dict[str, Any]]) -> None:
    """Write the page and its pictures for models with a finished run in ``folder``."""
    pictures = DOCS / "images" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    presets = listed(folder, "presets")
    parts = [HEAD]
    for family, title in FAMILIES.items():
        parts.append(f"## {title}\n")
        for model in models:
            if model["family"] == family:
                name = model["name"]
                if not (picture := pictures / f"{name}.png").exists():
                    draw(folder, model, picture)
                run = json.loads(genbench(folder, "show", name, "--json"))
                parts.append(section(model, run, presets))
    (DOCS / "gallery.md").write_text("\n".join(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the store")
    parser.add_argument(
        "--only", nargs="*", help="train these models; the page has all that are trained"
    )
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    models = listed(given.work, "models")
    wanted = {model["name"] for model in models} if given.only is None else set(given.only)
    for name in sorted(wanted - finished(given.work)):
        genbench(given.work, *command_of(name), "--name", name)
    done = finished(given.work)
    write_page(given.work, [model for model in models if model["name"] in done])


if __name__ == "__main__":
    main()
