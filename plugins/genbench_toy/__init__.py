"""Points in the plane with a known distribution, and metrics of their modes (docs/toy.md)."""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_datasets(register: genbench.Register) -> None:
    """Register the data sets."""
    register(
        "gaussians-25",
        "genbench_toy.mixtures:Gaussians25",
        settings="genbench_toy.settings:Gaussians25Settings",
        summary="25 Gaussians on a 5x5 grid, 2-D points; generated, not downloaded",
        family="toy",
        source="Dumoulin et al. 2017 (arXiv:1606.00704); as used in DRS and DDLS",
    )
    register(
        "gaussians-8",
        "genbench_toy.mixtures:Gaussians8",
        settings="genbench_toy.settings:Gaussians8Settings",
        summary="8 Gaussians on a ring, 2-D points; generated, not downloaded",
        family="toy",
        source="Metz et al. 2017 (arXiv:1611.02163)",
    )
    register(
        "swiss-roll",
        "genbench_toy.swiss_roll:SwissRoll",
        settings="genbench_toy.settings:SwissRollSettings",
        summary="a noisy spiral without labels, 2-D points; generated, not downloaded",
        family="toy",
        source="Marsland 2009, in the plane as in Gulrajani et al. 2017 (arXiv:1704.00028)",
    )


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """Register the metrics of modes; they work on any labelled points."""
    register(
        "modes",
        "genbench_toy.mode_metrics:Modes",
        settings="genbench_toy.settings:ModesSettings",
        summary="number of modes with at least one high-quality sample",
        family="modes",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
        watch=True,
    )
    register(
        "high_quality",
        "genbench_toy.mode_metrics:HighQuality",
        settings="genbench_toy.settings:HighQualitySettings",
        summary="share of samples within 4 standard deviations of a mode",
        family="modes",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
    )
    register(
        "mode_std",
        "genbench_toy.mode_metrics:ModeStd",
        settings="genbench_toy.settings:ModeStdSettings",
        summary="standard deviation of high-quality samples within their modes; best: the floor",
        family="modes",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
    )
    register(
        "mode_kl",
        "genbench_toy.mode_metrics:ModeKl",
        settings="genbench_toy.settings:ModeKlSettings",
        summary="KL divergence (nats) of the modes' frequencies from the uniform distribution",
        family="modes",
        source="Lin et al. 2018 (PacGAN, arXiv:1712.04086), section 4.1",
    )
