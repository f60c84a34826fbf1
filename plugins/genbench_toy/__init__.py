"""Data with a known distribution, and metrics that use it (docs/toy.md)."""

from __future__ import annotations

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_datasets(register: genbench.Register) -> None:
    """Register the data sets."""
    toy = partial(register, family="toy")
    toy(
        "gaussians-25",
        "genbench_toy.mixtures:Gaussians25",
        settings="genbench_toy.toy_settings:Gaussians25Settings",
        summary="25 Gaussians on a 5x5 grid, 2-D points; generated, not downloaded",
        source="Dumoulin et al. 2017 (arXiv:1606.00704); as used in DRS and DDLS",
    )
    toy(
        "gaussians-8",
        "genbench_toy.mixtures:Gaussians8",
        settings="genbench_toy.toy_settings:Gaussians8Settings",
        summary="8 Gaussians on a ring, 2-D points; generated, not downloaded",
        source="Metz et al. 2017 (arXiv:1611.02163)",
    )
    toy(
        "swiss-roll",
        "genbench_toy.swiss_roll:SwissRoll",
        settings="genbench_toy.toy_settings:SwissRollSettings",
        summary="a noisy spiral without labels, 2-D points; generated, not downloaded",
        source="Marsland 2009, in the plane as in Gulrajani et al. 2017 (arXiv:1704.00028)",
    )
    toy(
        "triangles",
        "genbench_toy.triangles:Triangles",
        settings="genbench_toy.toy_settings:TrianglesSettings",
        summary="28x28 images of triangles, a manifold with a known distance; generated",
        source="after Lucic et al. 2018 (arXiv:1711.10337), section 5",
    )


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """Register the metrics of modes, which work on any labelled points, and of triangles."""
    register(
        "manifold",
        "genbench_toy.manifold_metrics:Manifold",
        settings="genbench_toy.toy_settings:ManifoldSettings",
        summary="true precision, recall and distance of images of triangles",
        family="modes",
        source="Lucic et al. 2018 (arXiv:1711.10337), section 5",
    )
    metric = partial(register, family="modes")
    metric(
        "modes",
        "genbench_toy.mode_metrics:Modes",
        settings="genbench_toy.toy_settings:ModesSettings",
        summary="number of modes with at least one high-quality sample",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
        watch=True,
    )
    metric(
        "high_quality",
        "genbench_toy.mode_metrics:HighQuality",
        settings="genbench_toy.toy_settings:HighQualitySettings",
        summary="share of samples within 4 standard deviations of a mode",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
    )
    metric(
        "mode_std",
        "genbench_toy.mode_metrics:ModeStd",
        settings="genbench_toy.toy_settings:ModeStdSettings",
        summary="standard deviation of high-quality samples within their modes; best: the floor",
        source="Azadi et al. 2019 (arXiv:1810.06758), 25 Gaussians",
    )
    metric(
        "mode_kl",
        "genbench_toy.mode_metrics:ModeKl",
        settings="genbench_toy.toy_settings:ModeKlSettings",
        summary="KL divergence (nats) of the modes' frequencies from the uniform distribution",
        source="Lin et al. 2018 (PacGAN, arXiv:1712.04086), section 4.1",
    )
