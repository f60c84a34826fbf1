"""The bar of a run, on terminals of any width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from genbench.cli.progress import BarScreen


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bar_and_time_stay_where_the_losses_have_no_room(width):
    screen = BarScreen()
    try:
        losses = "vae/loss 427.6  test/loss 358.7  test/reconstruction 340.2  test/kl 18.5"
        screen.bar("autoencoder", 390, 400, losses)
        out = StringIO()
        console = Console(file=out, width=width, force_terminal=True, color_system=None)
        console.print(screen._progress.get_renderable())
    finally:
        screen.close()
    (line,) = out.getvalue().splitlines()
    assert len(line) <= width
    assert line.startswith("━" * 19)
    assert line.index("390/400") < line.index(":") < line.index("autoenc")
    assert "390/400" in line
    assert ":" in line
    assert "vae/lo" in line or width == 60
