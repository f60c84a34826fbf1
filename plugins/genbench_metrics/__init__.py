"""The built-in metrics: each score comes with its protocol and its floor (see docs/scores.md)."""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """Register the built-in metrics."""
    register(
        "fd_clf",
        "genbench_metrics.fd_clf:FdClf",
        settings="genbench_metrics.settings:FdClfSettings",
        summary="Fréchet distance on the features of the data set's own classifier (84-d LeNet)",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500) on LeNet-5 features",
    )
    register(
        "fd_pixel",
        "genbench_metrics.fd_pixel:FdPixel",
        settings="genbench_metrics.settings:FdPixelSettings",
        summary="Fréchet distance on raw pixels: needs no weights, a weak judge",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500) on pixels",
    )
    register(
        "fid",
        "genbench_metrics.fid:Fid",
        settings="genbench_metrics.settings:FidSettings",
        summary="Fréchet inception distance (Inception-v3 of 2015, 2048-d, by torch-fidelity)",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500)",
    )
    register(
        "reconstruction",
        "genbench_metrics.reconstruction:Reconstruction",
        settings="genbench_metrics.settings:ReconstructionSettings",
        summary="mean squared error of reconstructed test images, per pixel in [0, 1]",
        family="reconstruction",
        capabilities=("reconstructs",),
    )
