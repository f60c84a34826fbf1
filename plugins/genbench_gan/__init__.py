"""Generative adversarial networks."""

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    register(
        "gan",
        "genbench_gan.gan:gan",
        settings="genbench_gan.gan_settings:GANSettings",
        presets="genbench_gan.gan_settings:PRESETS",
        summary="the original GAN, with every loss and regulariser as an option",
        family="gan",
        source="Goodfellow et al. 2014, arXiv:1406.2661",
        capabilities=("generates", "discriminates"),
    )
    register(
        "lsgan",
        "genbench_gan.lsgan:lsgan",
        settings="genbench_gan.lsgan:LSGANSettings",
        presets="genbench_gan.lsgan:PRESETS",
        summary="least-squares GAN",
        family="gan",
        source="Mao et al. 2017, arXiv:1611.04076",
        capabilities=("generates", "discriminates"),
    )
    register(
        "wgan",
        "genbench_gan.wgan:wgan",
        settings="genbench_gan.wgan:WGANSettings",
        presets="genbench_gan.wgan:PRESETS",
        summary="Wasserstein GAN with clipped weights in the critic",
        family="gan",
        source="Arjovsky et al. 2017, arXiv:1701.07875",
        capabilities=("generates", "discriminates"),
    )
    register(
        "wgan-gp",
        "genbench_gan.wgan_gp:wgan_gp",
        settings="genbench_gan.wgan_gp:WGANGPSettings",
        presets="genbench_gan.wgan_gp:PRESETS",
        summary="Wasserstein GAN with gradient penalty",
        family="gan",
        source="Gulrajani et al. 2017, arXiv:1704.00028",
        capabilities=("generates", "discriminates"),
    )
    register(
        "sngan",
        "genbench_gan.sngan:sngan",
        settings="genbench_gan.sngan:SNGANSettings",
        presets="genbench_gan.sngan:PRESETS",
        summary="GAN with a spectrally normalised discriminator",
        family="gan",
        source="Miyato et al. 2018, arXiv:1802.05957",
        capabilities=("generates", "discriminates"),
    )
    register(
        "dcgan",
        "genbench_gan.dcgan:dcgan",
        settings="genbench_gan.dcgan:DCGANSettings",
        presets="genbench_gan.dcgan:PRESETS",
        summary="deep convolutional GAN, square images of 28 to 64 px, or 160",
        family="gan",
        source="Radford et al. 2015, arXiv:1511.06434",
        capabilities=("generates", "discriminates"),
    )
    register(
        "ebgan",
        "genbench_gan.ebgan:EBGAN",
        settings="genbench_gan.ebgan_settings:EBGANSettings",
        presets="genbench_gan.ebgan_settings:PRESETS",
        summary="energy-based GAN with an autoencoder as discriminator",
        family="gan",
        source="Zhao et al. 2017, arXiv:1609.03126",
        capabilities=("generates", "discriminates"),
    )
    register(
        "ebgan-pt",
        "genbench_gan.ebgan:EBGAN",
        settings="genbench_gan.ebgan_settings:EBGANPTSettings",
        presets="genbench_gan.ebgan_settings:PT_PRESETS",
        summary="energy-based GAN with a pulling-away term on the codes",
        family="gan",
        source="Zhao et al. 2017, arXiv:1609.03126, section 2.4",
        capabilities=("generates", "discriminates"),
    )
    register(
        "began",
        "genbench_gan.began:BEGAN",
        settings="genbench_gan.began_settings:BEGANSettings",
        presets="genbench_gan.began_settings:PRESETS",
        summary="boundary equilibrium GAN: an autoencoder as discriminator, kept in balance "
        "with the generator",
        family="gan",
        source="Berthelot et al. 2017, arXiv:1703.10717",
        capabilities=("generates", "discriminates"),
    )
    register(
        "cgan",
        "genbench_gan.cgan:cgan",
        settings="genbench_gan.cgan:CGANSettings",
        summary="conditional GAN: labels are inputs beside noise and image",
        family="gan",
        source="Mirza & Osindero 2014, arXiv:1411.1784",
        capabilities=("generates", "discriminates", "conditional"),
    )
    register(
        "infogan",
        "genbench_gan.infogan:InfoGAN",
        settings="genbench_gan.infogan_settings:InfoGANSettings",
        summary="a GAN with latent codes that can be recovered from its samples",
        family="gan",
        source="Chen et al. 2016, arXiv:1606.03657",
        capabilities=("generates", "discriminates"),
    )
