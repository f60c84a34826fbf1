"""Generative adversarial networks."""

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    gan = partial(register, family="gan", capabilities=("generates", "discriminates"))
    gan(
        "gan",
        "genbench_gan.gan:gan",
        settings="genbench_gan.gan_settings:GANSettings",
        presets="genbench_gan.gan_settings:PRESETS",
        summary="the original GAN, with every loss and regulariser as an option",
        source="Goodfellow et al. 2014, arXiv:1406.2661",
    )
    gan(
        "lsgan",
        "genbench_gan.lsgan:lsgan",
        settings="genbench_gan.lsgan:LSGANSettings",
        presets="genbench_gan.lsgan:PRESETS",
        summary="least-squares GAN",
        source="Mao et al. 2017, arXiv:1611.04076",
    )
    gan(
        "wgan",
        "genbench_gan.wgan:wgan",
        settings="genbench_gan.wgan:WGANSettings",
        presets="genbench_gan.wgan:PRESETS",
        summary="Wasserstein GAN with clipped weights in the critic",
        source="Arjovsky et al. 2017, arXiv:1701.07875",
    )
    gan(
        "wgan-gp",
        "genbench_gan.wgan_gp:wgan_gp",
        settings="genbench_gan.wgan_gp:WGANGPSettings",
        presets="genbench_gan.wgan_gp:PRESETS",
        summary="Wasserstein GAN with gradient penalty",
        source="Gulrajani et al. 2017, arXiv:1704.00028",
    )
    gan(
        "sngan",
        "genbench_gan.sngan:sngan",
        settings="genbench_gan.sngan:SNGANSettings",
        presets="genbench_gan.sngan:PRESETS",
        summary="GAN with a spectrally normalised discriminator",
        source="Miyato et al. 2018, arXiv:1802.05957",
    )
    gan(
        "dcgan",
        "genbench_gan.dcgan:dcgan",
        settings="genbench_gan.dcgan:DCGANSettings",
        presets="genbench_gan.dcgan:PRESETS",
        summary="deep convolutional GAN, square images of 28 to 64 px, or 160",
        source="Radford et al. 2015, arXiv:1511.06434",
    )
    gan(
        "r3gan",
        "genbench_gan.r3gan:r3gan",
        settings="genbench_gan.r3gan_settings:R3GANSettings",
        presets="genbench_gan.r3gan_settings:PRESETS",
        summary="relativistic pairs, R1 and R2 penalties, residual networks without normalisation",
        source="Huang et al. 2024, arXiv:2501.05441",
    )
    gan(
        "ebgan",
        "genbench_gan.ebgan:ebgan",
        settings="genbench_gan.ebgan:EBGANSettings",
        presets="genbench_gan.ebgan:PRESETS",
        summary="energy-based GAN with an autoencoder as discriminator",
        source="Zhao et al. 2017, arXiv:1609.03126",
    )
    gan(
        "ebgan-pt",
        "genbench_gan.ebgan:ebgan",
        settings="genbench_gan.ebgan:EBGANPTSettings",
        presets="genbench_gan.ebgan:PT_PRESETS",
        summary="energy-based GAN with a pulling-away term on the codes",
        source="Zhao et al. 2017, arXiv:1609.03126, section 2.4",
    )
    gan(
        "began",
        "genbench_gan.began:began",
        settings="genbench_gan.began:BEGANSettings",
        presets="genbench_gan.began:PRESETS",
        summary="boundary equilibrium GAN: an autoencoder as discriminator, kept in balance "
        "with the generator",
        source="Berthelot et al. 2017, arXiv:1703.10717",
    )
    gan(
        "cgan",
        "genbench_gan.cgan:cgan",
        settings="genbench_gan.cgan:CGANSettings",
        summary="conditional GAN: labels are inputs beside noise and image",
        source="Mirza & Osindero 2014, arXiv:1411.1784",
        capabilities=("generates", "discriminates", "conditional"),
    )
    gan(
        "infogan",
        "genbench_gan.infogan:infogan",
        settings="genbench_gan.infogan:InfoGANSettings",
        summary="a GAN with latent codes that can be recovered from its samples",
        source="Chen et al. 2016, arXiv:1606.03657",
    )
    gan(
        "stargan",
        "genbench_gan.stargan:StarGAN",
        settings="genbench_gan.stargan_settings:StarGANSettings",
        presets="genbench_gan.stargan_settings:PRESETS",
        summary="translates samples between the classes of a data set, with one generator",
        source="Choi et al. 2018, arXiv:1711.09020",
        capabilities=("translates",),
    )
