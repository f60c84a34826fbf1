"""Hybrids of VAE and GAN."""

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    basic = ("generates", "encodes", "decodes", "reconstructs")
    hybrid = partial(register, family="hybrid")
    hybrid(
        "vaegan",
        "genbench_hybrid.vaegan:VAEGAN",
        settings="genbench_hybrid.vaegan_settings:VAEGANSettings",
        presets="genbench_hybrid.vaegan_settings:PRESETS",
        summary="a GAN in the latent space of a trained VAE",
        source="Lin et al. 2023, Generate Faster: Accelerate Generative Models Using VAE",
        capabilities=(*basic, "discriminates", "embeds"),
    )
    hybrid(
        "cvae-gan",
        "genbench_hybrid.cvae_gan:CVAEGAN",
        settings="genbench_hybrid.cvae_gan_settings:CVAEGANSettings",
        presets="genbench_hybrid.cvae_gan_settings:PRESETS",
        summary="conditional VAE with a discriminator and a classifier, matched by mean features",
        source="Bao et al. 2017, arXiv:1703.10155",
        capabilities=(*basic, "discriminates", "conditional", "translates"),
    )
    hybrid(
        "vaegan-larsen",
        "genbench_hybrid.larsen:LarsenVAEGAN",
        settings="genbench_hybrid.larsen_settings:LarsenSettings",
        presets="genbench_hybrid.larsen_settings:PRESETS",
        summary="VAE/GAN: a VAE with its reconstruction error in a discriminator's features",
        source="Larsen et al. 2016, arXiv:1512.09300",
        capabilities=(*basic, "discriminates"),
        optional=("conditional",),
    )
    hybrid(
        "aae",
        "genbench_hybrid.aae:AAE",
        settings="genbench_hybrid.aae_settings:AAESettings",
        summary="adversarial autoencoder: a discriminator matches the codes to the prior",
        source="Makhzani et al. 2015, arXiv:1511.05644",
        capabilities=basic,
        optional=("conditional",),
    )
    hybrid(
        "avb",
        "genbench_hybrid.avb:AVB",
        settings="genbench_hybrid.avb_settings:AVBSettings",
        summary="adversarial variational Bayes: a VAE with a posterior of any shape",
        source="Mescheder et al. 2017, arXiv:1701.04722",
        capabilities=(*basic, "has-likelihood"),
    )
