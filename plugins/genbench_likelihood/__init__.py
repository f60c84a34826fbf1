"""Models with an exact likelihood: normalising flows and an autoregressive model of pixels."""

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    exact = partial(
        register,
        family="likelihood",
        capabilities=("generates", "has-density"),
        optional=("conditional",),
    )
    exact(
        "realnvp",
        "genbench_likelihood.realnvp:realnvp",
        settings="genbench_likelihood.flow_settings:RealNVPSettings",
        presets="genbench_likelihood.flow_settings:REALNVP_PRESETS",
        summary="normalising flow of affine couplings; convolutional and multi-scale for images",
        source="Dinh et al. 2017, arXiv:1605.08803",
    )
    exact(
        "maf",
        "genbench_likelihood.maf:maf",
        settings="genbench_likelihood.flow_settings:MAFSettings",
        presets="genbench_likelihood.flow_settings:MAF_PRESETS",
        summary="masked autoregressive flow: each value given all earlier ones",
        source="Papamakarios et al. 2017, arXiv:1705.07057",
    )
    exact(
        "nsf",
        "genbench_likelihood.nsf:nsf",
        settings="genbench_likelihood.flow_settings:NSFSettings",
        summary="neural spline flow: couplings of rational-quadratic splines (needs zuko)",
        source="Durkan et al. 2019, arXiv:1906.04032",
    )
    exact(
        "pixelcnn",
        "genbench_likelihood.pixelcnn:PixelCNN",
        settings="genbench_likelihood.pixelcnn_settings:PixelCNNSettings",
        presets="genbench_likelihood.pixelcnn_settings:PRESETS",
        summary="gated PixelCNN: the probability of each pixel given those above and to the left",
        source="van den Oord et al. 2016, arXiv:1606.05328",
    )
