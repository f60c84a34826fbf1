"""Generative adversarial networks."""

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    register(
        "gan",
        "genbench_gan.gan:GAN",
        settings="genbench_gan.gan_settings:GANSettings",
        presets="genbench_gan.gan_settings:PRESETS",
        summary="the original GAN, fully connected",
        family="gan",
        source="Goodfellow et al. 2014, arXiv:1406.2661",
        capabilities=("generates", "discriminates"),
    )
    register(
        "dcgan",
        "genbench_gan.dcgan:DCGAN",
        settings="genbench_gan.dcgan_settings:DCGANSettings",
        presets="genbench_gan.dcgan_settings:PRESETS",
        summary="deep convolutional GAN, square images of 28 to 64 px",
        family="gan",
        source="Radford et al. 2015, arXiv:1511.06434",
        capabilities=("generates", "discriminates"),
    )
