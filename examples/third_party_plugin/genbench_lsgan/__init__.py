"""The least-squares GAN of Mao et al. 2017 (arXiv:1611.04076) as a plugin for genbench."""

import genbench


@genbench.hookimpl
def genbench_register_models(register):
    register(
        "lsgan-mini",
        "genbench_lsgan.model:LSGAN",
        settings="genbench_lsgan.settings:LSGANSettings",
        summary="least-squares GAN, fully connected (Mao et al. 2017)",
        capabilities=("generates",),
    )
