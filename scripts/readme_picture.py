"""Make the README's picture from the sample grids of four stored runs on the digits.

for model in vae gan dcgan vaegan; do genbench run $model digits; done
python scripts/readme_picture.py docs/images/four-models.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from genbench.store import Store

MODELS = ("vae", "gan", "dcgan", "vaegan")
GAP, HEAD, INK, PAPER = 24, 44, "#1c2430", "#ffffff"


def grid_of(store: Store, model: str) -> Image.Image:
    run = store.runs(model=model, dataset="digits", status="finished", limit=1)[0]
    grid = Image.open(store.folder(run.id) / "samples.png")
    caption = int(grid.info.get("caption-height", 0))
    return grid.convert("RGB").crop((0, caption, *grid.size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--store", default="runs.db")
    given = parser.parse_args()
    with Store.open(given.store, mode="read") as store:
        grids = [grid_of(store, model) for model in MODELS]
    width, height = grids[0].size
    sheet = Image.new("RGB", (len(grids) * (width + GAP) - GAP, height + HEAD), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=26)
    for place, (model, grid) in enumerate(zip(MODELS, grids, strict=True)):
        left = place * (width + GAP)
        draw.text((left, 4), model, fill=INK, font=font)
        sheet.paste(grid, (left, HEAD))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(32).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
